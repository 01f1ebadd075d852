"""A document of records: what is refused, and what loading it would change. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from agent.database.loading import batches
from agent.database.saved import FORMAT, LoadPlan, Saved, SavedRecord, compare, ignored, read
from agent.errors import Invalid
from agent.files.objects import BOOTCONFIGS, IMAGES, REPOS
from agent.model import Kind, Record
from agent.ports import Put
from agent.records import Spec

SPECS: Mapping[Kind, Spec] = {spec.kind: spec for spec in (IMAGES, BOOTCONFIGS, REPOS)}
A, B = "a" * 32, "b" * 32


def image(uid: str = A, **body: Any) -> SavedRecord:
    return SavedRecord(Kind.IMAGE, uid, {"name": f"image-{uid[0]}", **body})


def saved(*records: SavedRecord, **changed: Any) -> Saved:
    told = {"format": FORMAT, "version": 1, "made": "-", "agent": "0.2.0", "engine": "sqlite", "head": A}
    return Saved(**{**told, "cluster": None, "records": list(records), **changed})


def stored(record: SavedRecord, revision: int = 1) -> Record:
    return Record(record.kind, record.uid, revision, record.body, record.body.get("name"))


def plan(document: Saved, *present: SavedRecord) -> LoadPlan:
    return compare(read(document, SPECS), [stored(record) for record in present], ignored(document), SPECS)


def test_what_is_not_there_is_added_what_differs_is_changed_and_nothing_removed() -> None:
    there, other = image(), image("c" * 32)
    told = plan(saved(image(description="new"), image(B)), there, other)
    assert [(step.action, step.uid, step.fields) for step in told.steps] == [
        ("change", A, ["description"]),
        ("add", B, []),
    ]
    assert (told.same, told.kept) == (0, 1)


def test_what_is_there_just_so_is_left_alone() -> None:
    told = plan(saved(image()), image())
    assert (told.steps, told.same, told.kept) == ([], 1, 0)


def test_images_come_before_what_refers_to_them() -> None:
    boot = SavedRecord(Kind.BOOTCONFIG, A, {"name": "boot", "image": B})
    assert [record.kind for record in read(saved(boot, image(B)), SPECS)] == [Kind.IMAGE, Kind.BOOTCONFIG]


def test_what_makes_a_cluster_is_counted_and_not_loaded() -> None:
    document = saved(SavedRecord(Kind.HEAD, A, {"anything": 1}), SavedRecord(Kind.CLUSTER, "cluster", {}), image())
    assert [record.kind for record in read(document, SPECS)] == [Kind.IMAGE]
    assert plan(document).ignored == {"head": 1, "cluster": 1}


def test_fields_of_a_newer_agent_are_kept() -> None:
    (record,) = read(saved(image(colour="blue")), SPECS)
    assert record.body["colour"] == "blue"


@pytest.mark.parametrize(
    ("records", "fields"),
    [
        ([image("short")], ["records[0].uid"]),
        ([image(name="a/b")], ["records[0].body.name"]),
        ([image(name=None)], ["records[0].body.name"]),
        ([image(content={"filename": "../x"})], ["records[0].body.content"]),
        ([image(frozen="yes")], ["records[0].body.frozen"]),
        ([image(), image(name="other")], ["records[1].uid"]),
        ([image(), image(B, name="image-a")], ["records[1].name"]),
        ([image(name=""), image(B, name=7)], ["records[0].body.name", "records[1].body.name"]),
    ],
)
def test_a_document_is_refused_as_a_whole_and_every_fault_is_named(
    records: list[SavedRecord], fields: list[str]
) -> None:
    with pytest.raises(Invalid, match="cannot load the records") as refused:
        read(saved(*records), SPECS)
    assert [fault.field for fault in refused.value.fields] == fields
    assert "nothing was changed" in refused.value.reason


@pytest.mark.parametrize("changed", [{"format": "other"}, {"version": 2}])
def test_another_format_is_refused_with_what_is_read(changed: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match="this agent reads") as refused:
        read(saved(**changed), SPECS)
    assert refused.value.code == "format"


def test_a_name_that_an_object_has_which_stays_is_refused() -> None:
    with pytest.raises(Invalid, match=f"the name 'image-a' is taken by {B}"):
        plan(saved(image()), image(B, name="image-a"))


def test_a_frozen_object_is_changed_by_nothing() -> None:
    with pytest.raises(Invalid, match="frozen"):
        plan(saved(image(description="new")), image(frozen=True))


def test_a_name_may_go_from_one_object_of_the_document_to_another() -> None:
    told = plan(saved(image(name="x"), image(B, name="image-a")), image())
    assert [step.action for step in told.steps] == ["change", "add"]


def test_the_digest_is_that_of_what_would_be_written() -> None:
    first, same, other = (plan(saved(image(description=text))).plan for text in ("a", "a", "b"))
    assert first == same != other


@pytest.mark.parametrize(("number", "size", "sizes"), [(0, 1, []), (100, 1, [40, 40, 20]), (4, 300_000, [1, 1, 1, 1])])
def test_commits_are_small_enough_for_every_engine(number: int, size: int, sizes: list[int]) -> None:
    puts = [Put(Kind.IMAGE, f"{n:032d}", {"text": "x" * size}) for n in range(number)]
    made = list(batches(puts))
    assert [len(batch) for batch in made] == sizes
    assert [put for batch in made for put in batch] == puts

"""The standard verbs, for a kind made up for the purpose."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta, Struct
from typing_extensions import override

from agent.errors import AgentError, Conflict, Invalid, NotFound, Stale, Unavailable
from agent.model import Kind, Record
from agent.ports import ABSENT, Change, Put
from agent.records import Records, Spec
from tests.support.memory_store import MemoryStore

A, B = "a" * 32, "b" * 32


class Inner(Struct, forbid_unknown_fields=True):
    """A field with fields."""

    filename: str
    size: int = 0


class Fields(Struct):
    """A field of each sort."""

    name: Annotated[str, Meta(min_length=1)]
    text: str = ""
    count: int = 7
    flag: bool = False
    style: Literal["plain", "fancy"] = "plain"
    tags: tuple[str, ...] = ()
    inner: Inner | None = None


class Kept(Struct):
    """A field that the agent keeps."""

    made: str | None = None


class Told(Struct):
    """A field that is only shown."""

    state: str


def even(count: int) -> int:
    if count % 2:
        raise ValueError("must be even")
    return count


SPEC = Spec(Kind.IMAGE, "a thing", Fields, name="name", kept=Kept, told=Told, checks={"count": even})


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def things(store: MemoryStore) -> Records:
    return Records(store, SPEC)


def faults(err: AgentError) -> dict[str, str]:
    return {fault.field: fault.reason for fault in err.fields}


async def test_a_created_record_is_shown_with_its_uid_and_every_default(things: Records) -> None:
    record = await things.create({"name": "n", "count": 2})
    assert SPEC.view(record) == {
        "uid": record.uid,
        "name": "n",
        "text": "",
        "count": 2,
        "flag": False,
        "style": "plain",
        "tags": [],
        "inner": None,
        "made": None,
    }
    assert await things.get(record.uid) == record
    assert await things.get("n") == record
    assert await things.all() == {record.uid: SPEC.view(record)}


async def test_a_uid_is_made_unless_one_is_given(things: Records) -> None:
    made = await things.create({"name": "n"})
    given = await things.create({"name": "m", "uid": A})
    assert len(made.uid) == 32
    assert given.uid == A


@pytest.mark.parametrize(
    "uid", ["", "A" * 32, "a" * 31, "a" * 33, "a" * 31 + "-", "a" * 32 + "\n", 5, ["a" * 32], True]
)
async def test_a_uid_of_the_wrong_form_is_refused(things: Records, uid: object) -> None:
    with pytest.raises(Invalid) as refused:
        await things.create({"name": "n", "uid": uid})
    assert faults(refused.value) == {"uid": "must be 32 lower-case letters and digits"}


async def test_a_uid_or_name_that_is_taken_is_a_conflict(things: Records) -> None:
    await things.create({"name": "n", "uid": A})
    for body, code in (({"name": "m", "uid": A}, "exists"), ({"name": "n"}, "name-taken")):
        with pytest.raises(Conflict) as refused:
            await things.create(body)
        assert refused.value.code == code


async def test_every_fault_is_named_at_once(things: Records, store: MemoryStore) -> None:
    body = {
        "text": 5,
        "count": "7",
        "flag": "yes",
        "style": "gaudy",
        "tags": ["a", 3],
        "inner": {"filename": 1},
        "colour": "red",
        "made": "now",
        "state": "up",
    }
    with pytest.raises(Invalid) as refused:
        await things.create(body)
    found = faults(refused.value)
    assert set(found) == {
        *("name", "text", "count", "flag", "style", "tags[1]", "inner.filename", "colour", "made", "state"),
    }
    assert found["name"] == "is required"
    assert found["text"] == "expected `str`, got `int`"
    assert "not a field of a thing, which has name, text, count" in found["colour"]
    assert "kept by the agent" in found["made"]
    assert "told by the agent" in found["state"]
    assert store.revision == 0


async def test_what_was_shown_can_be_sent_back_as_it_was(things: Records) -> None:
    record = await things.create({"name": "one", "count": 4})
    shown = {**SPEC.view(record), "state": "up"}
    for send in (things.replace, things.patch):
        again = await send(record.uid, shown, None)
        assert SPEC.view(again) == SPEC.view(record)
        assert "state" not in again.body


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": None}, "name"),
        ({"name": ["n"]}, "name"),
        ({"name": {"n": 1}}, "name"),
        ({"name": True}, "name"),
        ({"name": "n", "count": 3}, "count"),
        ({"name": "n", "count": 2.5}, "count"),
        ({"name": "n", "count": True}, "count"),
        ({"name": "n", "inner": {}}, "inner"),
        ({"name": "n", "inner": {"filename": "f", "extra": 1}}, "inner"),
        ({"name": "n", "inner": "f"}, "inner"),
        ({"name": "n", "tags": "abc"}, "tags"),
        ({"name": "n", "": 1}, ""),
        ({"name": "n", "x" * 5000: 1}, "x" * 100),
    ],
)
async def test_a_bad_value_is_refused_by_the_name_of_its_field(
    things: Records, body: dict[str, Any], field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        await things.create(body)
    assert list(faults(refused.value)) == [field]
    assert field in refused.value.reason


async def test_a_patch_changes_what_it_names_and_null_resets(things: Records) -> None:
    record = await things.create({"name": "n", "text": "t", "count": 2, "inner": {"filename": "f"}})
    patched = await things.patch(record.uid, {"text": "u", "inner": None})
    assert patched.body == {"name": "n", "text": "u", "count": 2}
    assert patched.revision > record.revision
    assert await things.get(record.uid) == patched


async def test_a_required_field_cannot_be_reset(things: Records) -> None:
    await things.create({"name": "n"})
    with pytest.raises(Invalid) as refused:
        await things.patch("n", {"name": None})
    assert faults(refused.value) == {"name": "is required and cannot be null"}


async def test_a_put_resets_what_it_does_not_name(things: Records) -> None:
    await things.create({"name": "n", "text": "t", "count": 2})
    replaced = await things.replace("n", {"name": "m", "flag": True})
    assert replaced.body == {"name": "m", "flag": True}
    assert replaced.name == "m"
    with pytest.raises(NotFound):
        await things.get("n")
    with pytest.raises(Invalid) as refused:
        await things.replace("m", {"text": "t"})
    assert faults(refused.value) == {"name": "is required"}


@pytest.mark.parametrize("verb", ["patch", "replace"])
async def test_what_a_newer_agent_stored_survives(things: Records, store: MemoryStore, verb: str) -> None:
    body = {"name": "n", "novel": {"filename": "kept/alive"}, "nothing": None}
    await store.commit(Put(Kind.IMAGE, A, body, "n", references=["kept/alive"]))
    changed = await getattr(things, verb)(A, {"name": "n", "text": "t"})
    assert changed.body == {**body, "text": "t"}
    assert await store.references("", 10) == ["kept/alive"]
    assert SPEC.view(changed)["novel"] == {"filename": "kept/alive"}


@pytest.mark.parametrize("verb", ["patch", "replace"])
async def test_the_uid_and_what_the_agent_keeps_can_be_sent_back_unchanged(things: Records, verb: str) -> None:
    record = await things.create({"name": "n"})
    change = getattr(things, verb)
    await change("n", {"name": "n", "uid": record.uid, "made": None, "text": "t"})
    for body in ({"name": "n", "uid": B}, {"name": "n", "made": "yesterday"}):
        with pytest.raises(Invalid):
            await change("n", body)


async def test_a_change_that_changes_nothing_is_not_written(things: Records, store: MemoryStore) -> None:
    body = {"name": "n", "text": "t", "tags": ["a"], "inner": {"filename": "f"}}
    record = await things.create(body)
    assert await things.patch("n", {}) == record
    assert await things.patch("n", body) == record
    assert store.revision == record.revision


@pytest.mark.parametrize("verb", ["patch", "replace"])
async def test_a_precondition_holds_or_nothing_changes(things: Records, verb: str) -> None:
    record = await things.create({"name": "n"})
    changed = await getattr(things, verb)("n", {"name": "n", "text": "1"}, record.revision)
    for body in ({"name": "n", "text": "2"}, {"name": "n", "text": "1"}):
        with pytest.raises(Stale):
            await getattr(things, verb)("n", body, record.revision)
    with pytest.raises(Stale):
        await things.delete("n", record.revision)
    assert await things.get("n") == changed
    await things.delete("n", changed.revision)


async def test_what_is_deleted_is_gone(things: Records, store: MemoryStore) -> None:
    record = await things.create({"name": "n", "inner": {"filename": "f"}})
    assert (await things.delete("n")).uid == record.uid
    assert await things.all() == {}
    assert await store.references("", 10) == []
    for attempt in (
        things.get(record.uid),
        things.delete("n"),
        things.patch("n", {}),
        things.replace("n", {"name": "n"}),
    ):
        with pytest.raises(NotFound):
            await attempt


@pytest.mark.parametrize("key", [A, "nobody", "", "self", "../etc", "\udcff", "n\0", "x" * 100_000, "ä"])
async def test_what_is_not_there_is_not_found_whatever_it_is_called(things: Records, key: str) -> None:
    with pytest.raises(NotFound) as missed:
        await things.get(key)
    assert len(missed.value.reason) < 500


async def test_a_record_keeps_its_files_alive(things: Records, store: MemoryStore) -> None:
    await things.create({"name": "n", "inner": {"filename": "a/b"}})
    assert await store.references("", 10) == ["a/b"]
    await things.patch("n", {"inner": {"filename": "c"}})
    assert await store.references("", 10) == ["c"]


class Busy(MemoryStore):
    """A store in which somebody else always writes between a read and the write that follows it."""

    rivals = 0

    @override
    async def get(self, kind: Kind, uid: str) -> Record | None:
        """The record, which is not the newest any more when this returns."""
        found = await super().get(kind, uid)
        if found and self.rivals:
            self.rivals -= 1
            await self.commit(Put(kind, uid, {**found.body, "count": found.body.get("count", 0) + 2}, found.name))
        return found


async def test_no_racing_change_is_lost() -> None:
    store = Busy()
    things = Records(store, SPEC)
    await things.create({"name": "n", "uid": A, "count": 0})
    store.rivals = 10
    changed = await things.patch(A, {"text": "mine"})
    assert changed.body == {"name": "n", "text": "mine", "count": 20}


async def test_a_precondition_is_not_tried_again() -> None:
    store = Busy()
    things = Records(store, SPEC)
    record = await things.create({"name": "n", "uid": A, "count": 0})
    store.rivals = 1
    with pytest.raises(Stale):
        await things.patch(A, {"text": "mine"}, record.revision)


async def test_a_storm_of_changes_ends_in_a_conflict() -> None:
    store = Busy()
    things = Records(store, SPEC)
    await things.create({"name": "n", "uid": A, "count": 0})
    store.rivals = 1000
    with pytest.raises(Conflict) as refused:
        await things.delete(A)
    assert refused.value.code == "busy"


class Slow(MemoryStore):
    """A store that lets others go first."""

    @override
    async def commit(self, *changes: Change) -> int:
        """Apply all changes or none, after everybody else had a turn."""
        await asyncio.sleep(0)
        return await super().commit(*changes)


async def test_changes_wait_in_line_instead_of_failing_each_other() -> None:
    things = Records(Slow(), SPEC)
    await things.create({"name": "n", "uid": A})
    await asyncio.gather(*(things.patch(A, {"text": str(number)}) for number in range(200)))
    assert (await things.get(A)).revision == 201


async def test_many_at_once_lose_nothing(things: Records) -> None:
    await things.create({"name": "n", "uid": A})
    fields: list[dict[str, Any]] = [{"text": "t"}, {"count": 4}, {"flag": True}, {"style": "fancy"}, {"tags": ["x"]}]
    await asyncio.gather(*(things.patch(A, body) for body in fields))
    record = await things.get(A)
    assert record.body == {"name": "n", **{k: v for body in fields for k, v in body.items()}}


async def test_each_change_is_noted_once_it_is_done(store: MemoryStore) -> None:
    noted: list[tuple[dict[str, Any], dict[str, Any]]] = []
    things = Records(store, SPEC, lambda before, after: noted.append((before.body, after.body)))
    await things.create({"name": "n"})
    await things.patch("n", {"text": "t"})
    with pytest.raises(Stale):
        await things.patch("n", {"text": "u"}, ABSENT + 1)
    assert noted == [({"name": "n"}, {"name": "n", "text": "t"})]


async def test_everything_is_unavailable_while_the_store_is(things: Records, store: MemoryStore) -> None:
    store.problem = "gone"
    for attempt in (things.all(), things.get(A), things.create({"name": "n"}), things.patch(A, {}), things.delete(A)):
        with pytest.raises(Unavailable):
            await attempt


def test_the_description_tells_types_defaults_and_what_is_required() -> None:
    described = SPEC.described()
    assert list(described) == [
        *("uid", "name", "text", "count", "flag", "style", "tags", "inner", "made", "state"),
    ]
    assert described["name"] == {"type": "string", "minLength": 1, "required": True, "read_only": False}
    assert described["count"] == {"type": "integer", "required": False, "read_only": False, "default": 7}
    assert described["made"]["read_only"]
    assert described["state"] == {"type": "string", "required": False, "read_only": True}
    assert described["inner"]["anyOf"][0]["properties"]["filename"] == {"type": "string"}

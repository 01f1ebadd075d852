"""Images, boot configurations and repositories: what each may hold, and when it may change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from agent.config import Config, Live
from agent.errors import Conflict, Invalid, NotFound, Unavailable
from agent.files.objects import objects
from agent.files.references import OwnReferences
from agent.model import OBJECT_KINDS, Kind
from agent.ports import Put
from agent.records import Records
from tests.support.memory_store import MemoryStore

A = "a" * 32
FILE = {"filename": "50a2cc42303f4bf98c71c09b9e0d2adf", "chksum": "sha1:b0b0", "size": 5, "mtime": "2024-08-02"}
Rooms = Mapping[Kind, Records]


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def rooms(store: MemoryStore) -> Rooms:
    return objects(store)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (Kind.IMAGE, {"content": FILE, "description": "d", "frozen": True, "parent": "p", "distro": A}),
        (Kind.IMAGE, {"content": None}),
        (Kind.BOOTCONFIG, {"kernel": FILE, "initramfs": {"filename": "x"}, "cmdline": "quiet", "boot_style": "next"}),
        (Kind.REPO, {"iso": FILE, "urls": ["http://m/r"], "mirrors": [], "disable": True, "full_name": "R"}),
    ],
)
async def test_each_kind_holds_the_platforms_fields(rooms: Rooms, kind: Kind, body: dict[str, Any]) -> None:
    record = await rooms[kind].create({"name": "n", **body})
    shown = rooms[kind].spec.view(record)
    for name, value in body.items():
        full = {"chksum": None, "size": None, "mtime": None, **value} if isinstance(value, dict) else value
        assert shown[name] == full


def test_there_is_one_room_for_each_kind_of_object(rooms: Rooms) -> None:
    assert tuple(rooms) == OBJECT_KINDS


async def test_a_boot_style_is_rwram_unless_it_is_said(rooms: Rooms) -> None:
    record = await rooms[Kind.BOOTCONFIG].create({"name": "n"})
    assert rooms[Kind.BOOTCONFIG].spec.view(record)["boot_style"] == "rwram"
    with pytest.raises(Invalid):
        await rooms[Kind.BOOTCONFIG].patch("n", {"boot_style": "floppy"})


@pytest.mark.parametrize("kind", OBJECT_KINDS)
@pytest.mark.parametrize(
    "name", ["", " n", "n ", "a/b", "a\nb", "a\0b", "\u202ebad", "a" * 256, ".", "..", A, 5, None, ["n"]]
)
async def test_a_bad_name_is_refused(rooms: Rooms, kind: Kind, name: object) -> None:
    with pytest.raises(Invalid) as refused:
        await rooms[kind].create({"name": name})
    assert [fault.field for fault in refused.value.fields] == ["name"]


async def test_only_a_repository_must_not_begin_with_a_number(rooms: Rooms) -> None:
    await rooms[Kind.IMAGE].create({"name": "9rocky"})
    with pytest.raises(Invalid, match="number"):
        await rooms[Kind.REPO].create({"name": "9rocky"})


@pytest.mark.parametrize("filename", ["a", "folder/name.iso", "x" * 255, "ä b", "a\nb", "/".join("abcdefgh")])
async def test_a_file_is_named_by_its_path_inside_the_store(rooms: Rooms, store: MemoryStore, filename: str) -> None:
    await rooms[Kind.REPO].create({"name": "n", "iso": {"filename": filename}})
    assert await store.references("", 10) == [filename]


@pytest.mark.parametrize(
    "filename",
    [
        *("", "/", "/etc/passwd", "a/", "a//b", ".", "..", "./a", "a/./b", "../a", "a/../b", "a/.."),
        *(".hidden", ".trash/1", "a/.b", "a\0b", "x" * 256, "a/" * 2100 + "a", 5, None, ["a"], {"filename": "a"}),
    ],
)
async def test_a_file_outside_the_store_or_oddly_spelled_is_refused(rooms: Rooms, filename: object) -> None:
    with pytest.raises(Invalid) as refused:
        await rooms[Kind.IMAGE].create({"name": "n", "content": {"filename": filename}})
    assert refused.value.fields[0].field.startswith("content")


@pytest.mark.parametrize(
    "reference",
    [{}, [], "file", 5, {"filename": "a", "size": -1}, {"filename": "a", "size": 2**63}, {"filename": "a", "x": 1}],
)
async def test_a_malformed_file_reference_is_refused(rooms: Rooms, reference: object) -> None:
    with pytest.raises(Invalid):
        await rooms[Kind.BOOTCONFIG].create({"name": "n", "kernel": reference})


async def test_a_boot_configuration_keeps_its_image_by_uid(rooms: Rooms) -> None:
    image = await rooms[Kind.IMAGE].create({"name": "rocky"})
    by_name = await rooms[Kind.BOOTCONFIG].create({"name": "n", "image": "rocky"})
    by_uid = await rooms[Kind.BOOTCONFIG].create({"name": "m", "image": image.uid})
    assert by_name.body["image"] == by_uid.body["image"] == image.uid
    assert "image" not in (await rooms[Kind.BOOTCONFIG].patch("n", {"image": None})).body


@pytest.mark.parametrize("image", ["nobody", A, ""])
async def test_an_image_that_is_not_there_is_refused(rooms: Rooms, image: str) -> None:
    await rooms[Kind.BOOTCONFIG].create({"name": "n"})
    for attempt in (
        rooms[Kind.BOOTCONFIG].create({"name": "m", "image": image}),
        rooms[Kind.BOOTCONFIG].patch("n", {"image": image}),
        rooms[Kind.BOOTCONFIG].replace("n", {"name": "n", "image": image}),
    ):
        with pytest.raises(Invalid) as refused:
            await attempt
        assert [fault.field for fault in refused.value.fields] == ["image"]


async def test_a_boot_configuration_can_change_though_its_image_has_gone(rooms: Rooms) -> None:
    image = await rooms[Kind.IMAGE].create({"name": "rocky"})
    await rooms[Kind.BOOTCONFIG].create({"name": "n", "image": "rocky"})
    await rooms[Kind.IMAGE].delete("rocky")
    changed = await rooms[Kind.BOOTCONFIG].patch("n", {"cmdline": "quiet"})
    assert changed.body["image"] == image.uid


@pytest.mark.parametrize("kind", [Kind.IMAGE, Kind.BOOTCONFIG])
async def test_what_is_frozen_can_only_be_unfrozen(rooms: Rooms, kind: Kind) -> None:
    things = rooms[kind]
    frozen = await things.create({"name": "n", "frozen": True, "description": "d"})
    for attempt in (
        things.delete("n"),
        things.patch("n", {"description": "other"}),
        things.patch("n", {"frozen": False, "description": "other"}),
        things.patch("n", {"frozen": None, "name": "m"}),
        things.replace("n", {"name": "n", "frozen": False}),
        things.replace("n", {"name": "n", "frozen": True}),
    ):
        with pytest.raises(Conflict) as refused:
            await attempt
        assert refused.value.code == "frozen"
    assert await things.patch("n", {"description": "d"}) == frozen
    await things.patch("n", {"frozen": False})
    await things.patch("n", {"description": "other"})
    await things.delete("n")


@pytest.mark.parametrize("unfreeze", [{"frozen": False}, {"frozen": None}, {"frozen": False, "name": "n"}])
async def test_unfreezing_is_allowed_in_any_spelling(rooms: Rooms, unfreeze: dict[str, Any]) -> None:
    await rooms[Kind.IMAGE].create({"name": "n", "frozen": True})
    await rooms[Kind.IMAGE].patch("n", unfreeze)
    await rooms[Kind.IMAGE].delete("n")


async def test_a_repository_knows_no_freezing(rooms: Rooms) -> None:
    with pytest.raises(Invalid):
        await rooms[Kind.REPO].create({"name": "n", "frozen": True})


async def test_names_are_per_kind(rooms: Rooms) -> None:
    for kind in OBJECT_KINDS:
        await rooms[kind].create({"name": "same"})
    await rooms[Kind.IMAGE].create({"name": "other"})
    with pytest.raises(Conflict):
        await rooms[Kind.IMAGE].patch("other", {"name": "same"})
    with pytest.raises(NotFound):
        await rooms[Kind.REPO].get("other")


async def test_all_references_come_in_walk_order_however_many(store: MemoryStore) -> None:
    names = sorted(f"{n % 10}/{n}" for n in range(24_000))
    await store.commit(Put(Kind.IMAGE, A, {}, references=names[::2]), Put(Kind.REPO, A, {}, references=names))
    batches = [batch async for batch in OwnReferences(store, Live(Config())).references()]
    assert [name for batch in batches for name in batch] == names
    assert max(len(batch) for batch in batches) <= 10_000


async def test_references_fail_closed(store: MemoryStore) -> None:
    names = [f"f{n:05}" for n in range(12_000)]
    await store.commit(Put(Kind.IMAGE, A, {}, references=names))
    batches = OwnReferences(store, Live(Config())).references()
    assert len(await anext(batches)) == 10_000
    store.problem = "gone in the middle"
    with pytest.raises(Unavailable):
        await anext(batches)

"""What a clean of the database is told of the file store, and does there."""

from __future__ import annotations

import pytest

from agent.errors import Conflict, NotFound, Unavailable
from agent.ports import Leftover
from tests.support.files import FailLater, FilesRoom
from tests.support.memory_files import MemoryFiles
from tests.support.small_room import files, room

__all__ = ["files", "room"]

HOUR = 3600.0


async def test_a_clean_is_told_of_dead_uploads_and_expired_trash(room: FilesRoom, files: MemoryFiles) -> None:
    room.set(trash_ttl=HOUR)
    await room.collector.remove()
    files.move(HOUR)
    files.put("image.iso.part", b"12345")
    files.put("other")
    keeper = room.collector.housekeeping
    upload, trash = await keeper.leftovers()
    assert (upload.kind, upload.target, upload.bytes) == ("upload", "image.iso.part", 5)
    assert (trash.kind, trash.target, trash.bytes) == ("trash", "1/unused", 1)
    assert await keeper.discard(upload) == 5
    assert await keeper.discard(trash) == 1
    assert {name for _, name in files.trashed} == {"image.iso.part"}
    for leftover in (upload, trash):
        with pytest.raises(NotFound):
            await keeper.discard(leftover)


async def test_a_clean_leaves_what_is_needed_again(room: FilesRoom, files: MemoryFiles) -> None:
    leftover = Leftover("upload", "a.part", "a dead upload", 1)
    keeper = room.collector.housekeeping
    files.put("a.part", busy="is locked: an upload is under way")
    with pytest.raises(Conflict, match="locked"):
        await keeper.discard(leftover)
    files.put("a.part")
    room.references.names.add("a.part")
    with pytest.raises(Conflict, match="referred"):
        await keeper.discard(leftover)
    room.references.names.remove("a.part")
    room.references.then = {room.references.readings + 2: "a.part"}
    with pytest.raises(Conflict, match="referred"):
        await keeper.discard(leftover)
    assert "a.part" in files.files


async def test_a_clean_puts_an_upload_back_where_the_references_cannot_be_asked_again(
    room: FilesRoom, files: MemoryFiles
) -> None:
    files.put("a.part")
    references = FailLater(room.references.names)
    keeper = FilesRoom(files, references).collector.housekeeping
    (upload,) = await keeper.leftovers()
    references.last = references.readings + 1
    with pytest.raises(Unavailable):
        await keeper.discard(upload)
    assert "a.part" in files.files
    assert not files.trashed


async def test_a_clean_leaves_in_the_trash_what_an_object_refers_to(room: FilesRoom, files: MemoryFiles) -> None:
    room.set(trash_ttl=HOUR)
    await room.collector.remove()
    files.move(HOUR)
    keeper = room.collector.housekeeping
    (expired,) = await keeper.leftovers()
    room.references.names.add("./unused")
    assert await keeper.leftovers() == []
    with pytest.raises(Conflict, match="referred"):
        await keeper.discard(expired)
    assert set(files.trashed) == {("1", "unused")}


async def test_missing_files_are_told_by_the_names_that_were_asked(room: FilesRoom, files: MemoryFiles) -> None:
    files.put("e\u0301.img")
    asked = ["image", "./kernel", "gone", "e\u0301.img", "../etc/passwd"]
    assert await room.collector.housekeeping.missing(asked) == ["gone", "../etc/passwd"]

"""A removal of some unused files by their names: no other goes, and nothing is removed that the room would keep."""

from __future__ import annotations

import pytest

from agent.errors import Conflict, Unavailable
from tests.support.files import FilesRoom, SetReferences
from tests.support.memory_files import MemoryFiles

NO_FILE = "is not in the store, or is no regular file"


@pytest.fixture
def files() -> MemoryFiles:
    files = MemoryFiles()
    for name in ("image", "initramfs", "kernel", "one", "two"):
        files.put(name)
    files.put("open", busy="is in use")
    return files


@pytest.fixture
def room(files: MemoryFiles) -> FilesRoom:
    return FilesRoom(files, SetReferences({"image", "initramfs", "kernel"}))


async def test_only_what_is_named_goes_and_can_be_restored(room: FilesRoom, files: MemoryFiles) -> None:
    removal = await room.collector.remove({"two"})
    assert [row.filename for row in removal.removed] == ["two"]
    assert removal.kept == []
    assert (removal.meta["files"], removal.meta["bytes"]) == (1, 1)
    assert set(files.files) == {"image", "initramfs", "kernel", "one", "open"}
    await room.collector.trash.restore(["two"])
    assert "two" in files.files


async def test_what_is_named_and_stays_comes_with_its_reason(room: FilesRoom, files: MemoryFiles) -> None:
    removal = await room.collector.remove({"image", "open", "nowhere", "../etc/passwd", ".trash", "one"})
    assert [row.filename for row in removal.removed] == ["one"]
    assert {item.filename: item.reason for item in removal.kept} == {
        "image": "is referred to",
        "open": "is in use",
        "nowhere": NO_FILE,
        "../etc/passwd": NO_FILE,
        ".trash": NO_FILE,
    }


async def test_naming_nothing_removes_nothing(room: FilesRoom, files: MemoryFiles) -> None:
    removal = await room.collector.remove(frozenset())
    assert (removal.removed, removal.kept) == ([], [])
    assert len(files.files) == 6


async def test_a_dry_run_says_the_same_and_changes_nothing(room: FilesRoom, files: MemoryFiles) -> None:
    removal = await room.collector.remove({"one", "image"}, dry_run=True)
    assert [row.filename for row in removal.removed] == ["one"]
    assert [item.filename for item in removal.kept] == ["image"]
    assert len(files.files) == 6


async def test_the_same_guards_hold(room: FilesRoom, files: MemoryFiles) -> None:
    room.references.names.clear()
    with pytest.raises(Conflict, match="no object refers to any file"):
        await room.collector.remove({"one"})
    room.references.names.add("kernel")
    with pytest.raises(Conflict, match="4 of 6 files would go"):
        await room.collector.remove({"image", "initramfs", "one", "two"})
    room.references.away = "the database is away"
    with pytest.raises(Unavailable):
        await room.collector.remove({"one"}, force=True)
    assert len(files.files) == 6


async def test_a_reference_made_after_the_survey_saves_a_named_file(room: FilesRoom, files: MemoryFiles) -> None:
    room.references.then = {3: "one"}
    removal = await room.collector.remove({"one"})
    assert removal.removed == []
    assert [item.filename for item in removal.kept] == ["one"]
    assert "one" in files.files

"""The collector over a store in memory: what it removes, what it refuses, what it puts back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from typing_extensions import override

from agent.errors import Conflict, Invalid, NotFound, Unavailable
from agent.files.survey import BATCH
from agent.ports import Sighting
from tests.support.clock import StillClock
from tests.support.files import FailLater, FilesRoom, SetReferences
from tests.support.memory_files import MemoryFiles
from tests.support.small_room import files, room

__all__ = ["files", "room"]

HOUR = 3600.0


async def test_only_what_nothing_refers_to_is_listed_and_removed(room: FilesRoom, files: MemoryFiles) -> None:
    survey = await room.collector.unused()
    assert [item.row.filename for item in survey.unused] == ["unused"]
    assert survey.meta == {"files": 1, "bytes": 1, "scanned": 4, "took": 0.0}
    removal = await room.collector.remove()
    assert [row.filename for row in removal.removed] == ["unused"]
    assert set(files.files) == {"image", "initramfs", "kernel"}
    assert removal.meta["files"] == 1


async def test_what_is_kept_comes_with_its_reason(room: FilesRoom, files: MemoryFiles) -> None:
    files.put("open", busy="is in use")
    files.put("linked", links=2)
    removal = await room.collector.remove()
    reasons = {item.filename: item.reason for item in removal.kept}
    assert reasons["open"] == "is in use"
    assert "hard link" in reasons["linked"]
    assert set(files.files) == {"image", "initramfs", "kernel", "open", "linked"}


async def test_young_files_are_kept_by_the_filesystems_clock(room: FilesRoom, files: MemoryFiles) -> None:
    room.set(min_age=HOUR)
    files.move(HOUR - 1)
    room.clock.move(100 * HOUR)
    assert await room.unused() == []
    files.move(1)
    assert await room.unused() == ["unused"]


async def test_where_leases_may_be_wrong_files_are_kept_for_a_day(room: FilesRoom, files: MemoryFiles) -> None:
    files.trusted = False
    files.move(86399)
    assert await room.unused() == []
    files.move(1)
    assert await room.unused() == ["unused"]


async def test_a_dry_run_changes_nothing(room: FilesRoom, files: MemoryFiles) -> None:
    removal = await room.collector.remove(dry_run=True)
    assert [row.filename for row in removal.removed] == ["unused"]
    assert "unused" in files.files
    assert "refused" not in removal.meta


async def test_without_any_reference_a_removal_must_be_insisted_on(room: FilesRoom, files: MemoryFiles) -> None:
    room.references.names.clear()
    with pytest.raises(Conflict) as caught:
        await room.collector.remove()
    assert caught.value.code == "suspicious"
    assert len(files.files) == 4
    assert "no object refers" in (await room.collector.remove(dry_run=True)).meta["refused"]
    assert len((await room.collector.remove(force=True)).removed) == 4


async def test_more_than_half_of_the_store_goes_only_by_force(room: FilesRoom, files: MemoryFiles) -> None:
    room.references.names = {"image"}
    with pytest.raises(Conflict, match="3 of 4"):
        await room.collector.remove()
    assert len(files.files) == 4
    assert len((await room.collector.remove(force=True)).removed) == 3


async def test_an_empty_store_has_nothing_to_insist_on() -> None:
    room = FilesRoom(MemoryFiles())
    assert (await room.collector.remove()).removed == []


async def test_without_the_references_nothing_is_judged_or_removed(room: FilesRoom, files: MemoryFiles) -> None:
    room.references.away = "the database is away"
    with pytest.raises(Unavailable):
        await room.collector.unused()
    with pytest.raises(Unavailable):
        await room.collector.remove(force=True)
    assert len(files.files) == 4


async def test_references_that_fail_between_scan_and_removal_save_everything(
    room: FilesRoom, files: MemoryFiles
) -> None:
    room = FilesRoom(files, FailLater(room.references.names))
    with pytest.raises(Unavailable) as caught:
        await room.collector.remove()
    assert caught.value.data == []
    assert len(files.files) == 4


async def test_a_reference_made_after_the_scan_saves_the_file(room: FilesRoom, files: MemoryFiles) -> None:
    room.references.then = {2: "unused"}
    removal = await room.collector.remove()
    assert removal.removed == []
    assert [(item.filename, item.reason) for item in removal.kept] == [("unused", "is referred to by now")]
    assert not files.trashed


async def test_a_reference_made_during_the_removal_brings_the_file_back(room: FilesRoom, files: MemoryFiles) -> None:
    room.references.then = {3: "unused"}
    removal = await room.collector.remove()
    assert removal.removed == []
    assert [item.filename for item in removal.kept] == ["unused"]
    assert "unused" in files.files
    assert not files.trashed


async def test_what_goes_back_is_what_was_just_removed_though_the_clock_was_set_back(
    room: FilesRoom, files: MemoryFiles
) -> None:
    await room.collector.remove()
    files.move(-HOUR)
    for name in ("image", "initramfs", "kernel", "unused"):
        files.put(name, b"new")
    room.references.then = {room.references.readings + 3: "unused"}
    assert (await room.collector.remove()).removed == []
    assert files.files["unused"].content == b"new"


async def test_a_large_removal_goes_batch_by_batch(room: FilesRoom, files: MemoryFiles) -> None:
    for n in range(2 * BATCH + 5):
        files.put(f"n{n:05d}")
    room.references.then = {4: "n00000", 7: f"n{2 * BATCH + 2:05d}"}
    removal = await room.collector.remove(force=True)
    assert len(removal.removed) == 2 * BATCH + 5
    assert [item.filename for item in removal.kept] == [f"n{2 * BATCH + 2:05d}"]
    # What is named after its own batch is done comes back with the next look at the trash.
    assert "n00000" not in files.files
    await room.collector.trash.tidy()
    assert "n00000" in files.files


async def test_a_second_removal_at_the_same_time_is_a_conflict(room: FilesRoom, files: MemoryFiles) -> None:
    first, second = await asyncio.gather(room.collector.remove(), room.collector.remove(), return_exceptions=True)
    assert not isinstance(first, BaseException)
    assert isinstance(second, Conflict)
    assert second.code == "busy"
    assert (await room.collector.remove()).removed == []


async def test_who_asks_during_a_scan_shares_the_next(files: MemoryFiles) -> None:
    class Counting(MemoryFiles):
        scans = 0
        clock = StillClock()

        @override
        async def unreferenced(self, references: AsyncIterator[Sequence[str]]) -> Sighting:
            self.scans += 1
            await asyncio.sleep(0)
            self.clock.move(1)
            return await super().unreferenced(references)

    counting = Counting(files=files.files)
    room = FilesRoom(counting, SetReferences({"image"}), counting.clock)
    surveys = await asyncio.gather(*(room.collector.unused() for _ in range(5)))
    assert counting.scans == 2
    assert all(len(survey.unused) == 3 for survey in surveys)
    await room.collector.unused()
    assert counting.scans == 3


async def test_restore_takes_the_copy_that_was_removed_last(room: FilesRoom, files: MemoryFiles) -> None:
    for content in (b"1", b"22", b"333"):
        files.put("unused", content)
        await room.collector.remove()
        files.move(10)
    restored, kept = await room.collector.trash.restore(["unused"])
    assert ([file.size for file in restored], kept) == ([3], [])
    del files.files["unused"]
    restored, _ = await room.collector.trash.restore(["unused"], slot="1")
    assert [file.size for file in restored] == [1]


@pytest.mark.parametrize(
    ("filenames", "kind"),
    [([], Invalid), (["unused", "unused"], Invalid), (["unused", "nothing"], NotFound), (["unused", "../x"], NotFound)],
)
async def test_a_restore_is_checked_whole_before_anything_is_done(
    room: FilesRoom, files: MemoryFiles, filenames: list[str], kind: type[Exception]
) -> None:
    await room.collector.remove()
    with pytest.raises(kind):
        await room.collector.trash.restore(filenames)
    assert "unused" not in files.files


async def test_a_restore_over_a_new_file_is_a_conflict(room: FilesRoom, files: MemoryFiles) -> None:
    files.put("second")
    await room.collector.remove()
    files.put("unused", b"new")
    with pytest.raises(Conflict) as caught:
        await room.collector.trash.restore(["second", "unused"])
    assert [error.reason for error in caught.value.fields] == ["unused exists"]
    assert "second" not in files.files


async def test_emptying_the_trash_is_for_good(room: FilesRoom, files: MemoryFiles) -> None:
    await room.collector.remove()
    gone, kept = await room.collector.trash.empty()
    assert ([file.filename for file in gone], kept) == (["unused"], [])
    assert await room.collector.trash.listing() == []


async def test_emptying_the_trash_gives_up_nothing_that_an_object_refers_to(
    room: FilesRoom, files: MemoryFiles
) -> None:
    for name in ("old", "stuck"):
        files.put(name)
    await room.collector.remove(["unused", "old", "stuck"], force=True)
    room.references.names |= {"unused", "stuck"}
    files.stuck["stuck"] = "cannot be brought out of the trash: Is a directory"
    away = FilesRoom(files, room.references, everywhere=SetReferences(away="another head is down"))
    gone, kept = await away.collector.trash.empty()
    assert [file.filename for file in gone] == ["old"]
    assert [(item.filename, item.reason) for item in kept] == [("stuck", "is referred to by an object")]
    assert set(files.trashed) == {("1", "stuck")}
    assert "unused" in files.files


async def test_trash_expires_after_its_time(room: FilesRoom, files: MemoryFiles) -> None:
    room.set(trash_ttl=10 * HOUR)
    await room.collector.remove()
    files.move(10 * HOUR - 1)
    await room.collector.trash.tidy()
    assert len(files.trashed) == 1
    files.move(1)
    await room.collector.trash.tidy()
    assert not files.trashed


async def test_a_disk_over_the_watermark_lets_the_oldest_go(room: FilesRoom, files: MemoryFiles) -> None:
    for name in ("old", "middle", "young"):
        files.put(name)
        await room.collector.remove()
        files.move(HOUR)
    files.full, files.freed = 93.0, 3.0
    await room.collector.trash.tidy()
    assert {name for _, name in files.trashed} == {"young"}
    files.put("last")
    await room.collector.remove()
    files.full, files.freed = 99.0, 0.0
    await room.collector.trash.tidy()
    assert {name for _, name in files.trashed} == {"last"}


async def test_what_an_object_refers_to_goes_back_and_does_not_expire(room: FilesRoom, files: MemoryFiles) -> None:
    await room.collector.remove()
    room.references.names.add("./unused")
    files.move(1000 * HOUR)
    await room.collector.trash.tidy()
    assert "unused" in files.files
    assert not files.trashed


async def test_an_old_copy_expires_though_an_object_refers_to_the_new_file_in_its_place(
    room: FilesRoom, files: MemoryFiles
) -> None:
    await room.collector.remove()
    files.put("unused", b"new")
    room.references.names.add("unused")
    files.move(1000 * HOUR)
    (expired,) = await room.collector.housekeeping.leftovers()
    assert expired.target == "1/unused"
    await room.collector.trash.tidy()
    assert not files.trashed
    assert files.files["unused"].content == b"new"


async def test_tidying_without_the_references_lets_nothing_go(room: FilesRoom, files: MemoryFiles) -> None:
    await room.collector.remove()
    files.move(1000 * HOUR)
    room.references.away = "the database is away"
    with pytest.raises(Unavailable):
        await room.collector.trash.tidy()
    assert len(files.trashed) == 1


async def test_the_store_tells_its_problem(room: FilesRoom, files: MemoryFiles) -> None:
    assert await room.collector.problem() is None
    files.away = "the file store cannot be used: No such file or directory"
    assert await room.collector.problem() == files.away
    files.away = None
    assert await room.collector.problem() is None


async def test_the_loop_makes_ready_and_tidies_at_once(room: FilesRoom, files: MemoryFiles) -> None:
    await room.collector.remove()
    room.references.names.add("unused")
    prepared = files.prepared
    (loop,) = room.loops.all
    async with asyncio.TaskGroup() as group:
        running = group.create_task(room.collector.run())
        async with asyncio.timeout(5):
            while loop.succeeded is None:  # noqa: ASYNC110  nothing tells of a turn
                await asyncio.sleep(0)
        running.cancel()
    assert files.prepared == prepared + 1
    assert "unused" in files.files

"""Backups: named by time, bounded in number, whole or not there, and brought back even over a damaged database."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from typing_extensions import override

from agent.database.backups import Backups
from agent.errors import Conflict, Invalid, NotFound, Unavailable
from agent.model import Kind
from agent.ports import Delete, Put
from tests.support.database import DatabaseRoom, uid
from tests.support.memory_store import MemoryStore


@pytest.fixture
def room(tmp_path: Path) -> DatabaseRoom:
    """An empty room; the directory of backups does not exist yet."""
    return DatabaseRoom(tmp_path / "state" / "backups")


async def test_before_the_first_there_is_none(room: DatabaseRoom) -> None:
    assert await room.backups.listing() == []


async def test_backup_is_named_by_the_time_and_for_the_agent_alone(room: DatabaseRoom) -> None:
    made = await room.backups.make()
    assert (made.name, made.made) == ("20300501T120000.000000Z.db", "2030-05-01T12:00:00.000Z")
    file = room.directory / made.name
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(room.directory.stat().st_mode) == 0o700
    assert await room.backups.listing() == [made]
    assert made.bytes == file.stat().st_size


async def test_newest_come_first_and_the_oldest_go(room: DatabaseRoom) -> None:
    room.keep(backups=3)
    names = []
    for _ in range(5):
        names.append((await room.backups.make()).name)
        room.clock.move(0.5)
    assert [backup.name for backup in await room.backups.listing()] == names[:1:-1]


async def test_two_in_one_moment_do_not_overwrite_each_other(room: DatabaseRoom) -> None:
    first, second = await room.backups.make(), await room.backups.make()
    assert first.name < second.name
    assert len(await room.backups.listing()) == 2


async def test_new_backup_survives_a_clock_that_was_set_back(room: DatabaseRoom) -> None:
    room.keep(backups=1)
    await room.backups.make()
    room.clock.set_back(3600)
    made = await room.backups.make()
    assert made in await room.backups.listing()


async def test_old_backup_that_cannot_be_removed_does_not_fail_the_new_one(room: DatabaseRoom) -> None:
    class Stuck(Backups):
        @override
        async def drop(self, name: str) -> None:
            raise Unavailable("cannot remove a backup: Operation not permitted")

    async def nobody_remembers() -> None:
        pass

    room.keep(backups=1)
    old = await room.backups.make()
    room.clock.move(1)
    made = await Stuck(room.store, room.directory, room.live, room.clock, nobody_remembers).make()
    assert await room.backups.listing() == [made, old]


async def test_failed_backup_leaves_nothing_behind(room: DatabaseRoom) -> None:
    class Full(MemoryStore):
        @override
        async def backup(self, target: Path) -> int:
            target.write_bytes(b"half of")
            raise Unavailable("cannot write the backup: no space left on device")

    with pytest.raises(Unavailable) as refused:
        await room.backups_of(Full()).make()
    assert refused.value.reason == "cannot write the backup: no space left on device; nothing was changed"
    assert list(room.directory.iterdir()) == []


async def test_what_a_killed_agent_left_is_no_backup_and_goes_with_the_next(room: DatabaseRoom) -> None:
    await room.backups.make()
    left = [room.directory / name for name in (".unfinished", ".unfinished-journal")]
    for path in left:
        path.write_bytes(b"half of")
    assert len(await room.backups.listing()) == 1
    await room.backups.make()
    assert not any(path.exists() for path in left)


async def test_only_backups_are_listed(room: DatabaseRoom) -> None:
    made = await room.backups.make()
    (room.directory / "notes.txt").write_text("mine")
    (room.directory / "99999999T999999.999999Z.db").write_text("no such day")
    (room.directory / "20300101T000000.000000Z.db").mkdir()
    (room.directory / "20300102T000000.000000Z.db").symlink_to("/etc/passwd")
    assert await room.backups.listing() == [made]


async def test_restore_brings_back_what_was_there_and_tells_whoever_remembers(room: DatabaseRoom) -> None:
    await room.store.commit(Put(Kind.IMAGE, uid(1), {}, "rocky"))
    made = await room.backups.make()
    await room.store.commit(Put(Kind.IMAGE, uid(2), {}, "other"))
    restored = await room.backups.restore(made.name)
    assert [record.uid for record in await room.store.records(Kind.IMAGE)] == [uid(1)]
    assert (restored.name, room.restored) == (made.name, 1)
    assert "/" not in restored.replaced


async def test_a_restore_brings_back_no_head_that_was_removed_since_and_keeps_those_that_joined(
    room: DatabaseRoom,
) -> None:
    await room.head(1)
    await room.head(2)
    made = await room.backups.make()
    await room.store.commit(Delete(Kind.HEAD, uid(2)))
    await room.tombstone(2, days_ago=0)
    await room.head(3)
    await room.backups.restore(made.name)
    assert [record.uid for record in await room.store.records(Kind.HEAD)] == [uid(1), uid(3)]
    assert await room.tombstones() == [uid(2)]


async def test_restore_works_on_a_damaged_database(room: DatabaseRoom) -> None:
    made = await room.backups.make()
    room.store.problem = "it is damaged"
    with pytest.raises(Unavailable):
        await room.backups.make()
    assert await room.backups.listing() == [made]
    await room.backups.restore(made.name)
    assert await room.store.check() == []


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "/etc/passwd", "../agent.db", "x/../20300501T120000.000000Z.db", "20300501T120000.000000Z.db\0",
     "20300501T120000.000000Z.db\n", "./20300501T120000.000000Z.db", "\uff120300501T120000.000000Z.db", ".unfinished"],
)  # fmt: skip
async def test_only_a_name_from_the_list_is_restored(room: DatabaseRoom, name: str) -> None:
    await room.backups.make()
    (room.directory / ".unfinished").write_bytes(b"x")
    with pytest.raises(NotFound):
        await room.backups.restore(name)
    assert room.restored == 0


async def test_backup_that_is_not_sound_is_refused_and_nothing_changes(room: DatabaseRoom) -> None:
    await room.store.commit(Put(Kind.IMAGE, uid(1), {}, "rocky"))
    made = await room.backups.make()
    (room.directory / made.name).write_bytes(b"rotten")
    with pytest.raises(Invalid):
        await room.backups.restore(made.name)
    assert (len(await room.store.records(Kind.IMAGE)), room.restored) == (1, 0)
    await room.backups.make()


async def test_directory_that_cannot_be_read_is_said_without_its_path(room: DatabaseRoom) -> None:
    room.directory.parent.mkdir()
    room.directory.write_text("a file")
    for work in (room.backups.listing(), room.backups.make()):
        with pytest.raises(Unavailable) as refused:
            await work
        assert str(room.directory.parent) not in refused.value.reason
        assert os.strerror(20) in refused.value.reason or os.strerror(17) in refused.value.reason


async def test_turn_is_given_back_after_a_failure(room: DatabaseRoom) -> None:
    for _ in range(2):
        with pytest.raises(NotFound):
            await room.backups.restore("none")
    with room.backups.doing("clean the database"), pytest.raises(Conflict):
        await room.backups.make()
    await room.backups.make()

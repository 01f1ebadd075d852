"""The database as files: how it is begun, migrated, copied and put back, also when cut off in the middle."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from agent.adapters.sqlite import file as sqlite_file
from agent.adapters.sqlite.schema import APPLICATION_ID, MIGRATIONS
from agent.adapters.sqlite.store import SqliteStore
from agent.errors import Invalid, Unavailable
from agent.model import Kind, Record
from agent.ports import Put
from tests.support.databases import UID, execute, fill, value

_SCHEMA = "SELECT group_concat(sql, ';') FROM (SELECT sql FROM sqlite_schema ORDER BY name)"


async def test_only_the_agent_can_read_its_files(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "agent.db") as store:
        await store.commit(Put(Kind.IMAGE, UID, {}))
        await store.backup(tmp_path / "backup")
        modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in tmp_path.iterdir()}
    assert modes == dict.fromkeys(("agent.db", "agent.db-wal", "agent.db-shm", "backup"), 0o600)


async def test_what_an_interrupted_beginning_left_is_swept_away(tmp_path: Path) -> None:
    (tmp_path / "agent.db.new").write_bytes(b"half a database")
    async with SqliteStore.open(tmp_path / "agent.db") as store:
        assert store.problem is None
    assert os.listdir(tmp_path) == ["agent.db"]


async def test_records_survive_a_close(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "agent.db") as store:
        revision = await store.commit(Put(Kind.IMAGE, UID, {"v": 1}, "n", references=["f"]))
    async with SqliteStore.open(tmp_path / "agent.db") as store:
        assert await store.get(Kind.IMAGE, UID) == Record(Kind.IMAGE, UID, revision, {"v": 1}, "n")
        assert await store.commit() == revision
        assert await store.commit(Put(Kind.IMAGE, UID, {})) > revision


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS) + 1))
async def test_each_version_becomes_the_newest(tmp_path: Path, version: int) -> None:
    old, new = tmp_path / "old.db", tmp_path / "new.db"
    async with SqliteStore.open(old, MIGRATIONS[:version]) as store:
        assert store.problem is None
    async with SqliteStore.open(new), SqliteStore.open(old) as store:
        assert store.problem is None
        await store.commit(Put(Kind.IMAGE, UID, {}, references=["f"]))
    assert value(old, _SCHEMA) == value(new, _SCHEMA)
    assert value(old, "PRAGMA user_version") == len(MIGRATIONS)
    assert value(old, "PRAGMA application_id") == APPLICATION_ID


async def test_a_migration_keeps_the_records_and_an_older_agent_refuses_the_result(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    await fill(path, 10)
    newer = (*MIGRATIONS, ("ALTER TABLE record ADD COLUMN author TEXT",))
    async with SqliteStore.open(path, newer) as store:
        assert len(await store.records(Kind.IMAGE)) == 10
    async with SqliteStore.open(path) as store:
        assert store.problem is not None
        assert "install the agent that wrote it" in store.problem


async def test_a_migration_leaves_a_backup_with_which_the_older_agent_goes_on(tmp_path: Path) -> None:
    path, backups = tmp_path / "agent.db", tmp_path / "state/backups"
    await fill(path, 10)
    newer = (*MIGRATIONS, ("DROP TABLE reference",))
    async with SqliteStore.open(path, newer, backups) as store:
        assert store.problem is None
    (kept,) = backups.iterdir()
    assert (stat.S_IMODE(kept.stat().st_mode), stat.S_IMODE(backups.stat().st_mode)) == (0o600, 0o700)

    async with SqliteStore.open(path, backups=backups) as store:
        assert store.problem is not None
        assert "`cw-headctl database backups`" in store.problem
        await store.restore(kept)
        assert store.problem is None
        assert len(await store.records(Kind.IMAGE)) == 10
    assert list(backups.iterdir()) == [kept]


async def test_without_the_backup_there_is_no_migration(tmp_path: Path) -> None:
    path, backups = tmp_path / "agent.db", tmp_path / "backups"
    await fill(path, 10)
    backups.write_text("no directory")
    async with SqliteStore.open(path, (*MIGRATIONS, ("DROP TABLE reference",)), backups) as store:
        assert store.problem == "cannot back up before migrating the database: File exists"
    assert value(path, "PRAGMA user_version") == len(MIGRATIONS)


async def test_a_backup_that_was_cut_off_is_swept_away_by_the_next(tmp_path: Path) -> None:
    path, backups = tmp_path / "agent.db", tmp_path / "backups"
    await fill(path, 1)
    backups.mkdir()
    (backups / ".unfinished").write_bytes(b"half a backup")
    async with SqliteStore.open(path, (*MIGRATIONS, ("DROP TABLE reference",)), backups):
        assert [name.startswith(".") for name in os.listdir(backups)] == [False]


async def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    await fill(path, 10)
    broken = (*MIGRATIONS, ("ALTER TABLE record ADD COLUMN author TEXT", "CREATE TABLE record (x)"))
    async with SqliteStore.open(path, broken) as store:
        assert store.problem is not None
    async with SqliteStore.open(path) as store:
        assert store.problem is None
        assert len(await store.records(Kind.IMAGE)) == 10


async def test_a_backup_of_an_older_version_is_migrated(tmp_path: Path) -> None:
    await fill(tmp_path / "backup", 10)
    newer = (*MIGRATIONS, ("ALTER TABLE record ADD COLUMN author TEXT",))
    async with SqliteStore.open(tmp_path / "agent.db", newer) as store:
        await store.restore(tmp_path / "backup")
        assert len(await store.records(Kind.IMAGE)) == 10
    assert value(tmp_path / "backup", "PRAGMA user_version") == len(MIGRATIONS)


async def test_a_backup_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    newer = (*MIGRATIONS, ("ALTER TABLE record ADD COLUMN author TEXT",))
    async with SqliteStore.open(tmp_path / "backup", newer):
        pass
    async with SqliteStore.open(tmp_path / "agent.db") as store:
        with pytest.raises(Invalid, match="schema is version"):
            await store.restore(tmp_path / "backup")


async def test_a_backup_with_a_damaged_page_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    await fill(tmp_path / "backup", 1000)
    with (tmp_path / "backup").open("r+b") as file:
        file.seek(20 * 4096)
        file.write(os.urandom(20 * 4096))
    await fill(tmp_path / "agent.db", 1)
    async with SqliteStore.open(tmp_path / "agent.db") as store:
        with pytest.raises(Invalid, match="damaged"):
            await store.restore(tmp_path / "backup")
        assert len(await store.records(Kind.IMAGE)) == 1
    assert sorted(os.listdir(tmp_path)) == ["agent.db", "backup"]


async def test_the_database_in_use_is_no_backup(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    await fill(path)
    (tmp_path / "link").symlink_to(path)
    async with SqliteStore.open(path) as store:
        for source in (path, tmp_path / "link"):
            with pytest.raises(Invalid, match="in use"):
                await store.restore(source)


async def test_a_pipe_does_not_hold_a_restore_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    async with SqliteStore.open(tmp_path / "agent.db") as store:
        with pytest.raises(Invalid, match="regular file"):
            await store.restore(tmp_path / "pipe")


async def test_a_backup_stands_alone(tmp_path: Path) -> None:
    await fill(tmp_path / "agent.db", 10)
    async with SqliteStore.open(tmp_path / "agent.db") as store:
        await store.commit(Put(Kind.IMAGE, UID, {}))
        await store.backup(tmp_path / "backup")
    assert value(tmp_path / "backup", "PRAGMA journal_mode") == "delete"
    assert value(tmp_path / "backup", "SELECT count(*) FROM record") == 11
    assert sorted(os.listdir(tmp_path)) == ["agent.db", "backup"]


async def test_a_copy_made_by_hand_is_restored_with_its_log(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "agent.db") as store:
        await store.commit(Put(Kind.IMAGE, UID, {"v": 1}))
        for suffix in ("", "-wal"):
            shutil.copyfile(tmp_path / f"agent.db{suffix}", tmp_path / f"copy{suffix}")
        await store.commit(Put(Kind.IMAGE, UID, {"v": 2}))
        await store.restore(tmp_path / "copy")
        record = await store.get(Kind.IMAGE, UID)
    assert record is not None
    assert record.body == {"v": 1}


async def test_the_old_database_is_kept_whole_beside_the_restored_one(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    await fill(path, 1)
    async with SqliteStore.open(path) as store:
        await store.backup(tmp_path / "backup")
        await store.commit(Put(Kind.IMAGE, UID, {"later": True}))
        aside = await store.restore(tmp_path / "backup")
        assert await store.get(Kind.IMAGE, UID) is None
    async with SqliteStore.open(aside) as old:
        assert await old.get(Kind.IMAGE, UID) is not None


@pytest.mark.parametrize("moved", [0, 1, 2])
async def test_a_restore_that_was_cut_off_is_finished_at_the_next_start(tmp_path: Path, moved: int) -> None:
    path = tmp_path / "agent.db"
    await fill(tmp_path / "backup", 5)
    await fill(path, 1)
    sqlite_file.stage(tmp_path / "backup", path, known_revision=0)
    (tmp_path / "agent.db-wal").write_bytes(b"a log that belongs to the old database")
    for suffix in ("", "-wal")[:moved]:
        (tmp_path / f"agent.db{suffix}").rename(tmp_path / f"agent.db.aside{suffix}")
    async with SqliteStore.open(path) as store:
        assert store.problem is None
        assert len(await store.records(Kind.IMAGE)) == 5


async def test_reclaiming_gives_back_what_it_promised(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    async with SqliteStore.open(path) as store:
        for n in range(20):
            await store.commit(Put(Kind.IMAGE, f"{n:032d}", {"text": "x" * 500_000}))
        await store.commit(*(Put(Kind.IMAGE, f"{n:032d}", {}) for n in range(20)))
        promised = await store.reclaimable()
        assert {"incremental-vacuum", "checkpoint"} <= set(promised)
        before = await store.size()
        freed = sum([await store.reclaim(action) for action in promised])
        assert freed == before - await store.size()
        assert freed > 9_000_000
        assert not {"incremental-vacuum", "checkpoint"} & set(await store.reclaimable())
        assert len(await store.records(Kind.IMAGE)) == 20
        assert await store.check() == []


async def test_a_log_that_somebody_else_reads_is_not_said_to_be_emptied(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    async with SqliteStore.open(path) as store:
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM record").fetchall()
            await store.commit(Put(Kind.IMAGE, UID, {"text": "x" * 2_000_000}))
            with pytest.raises(Unavailable, match="somebody is reading"):
                await store.reclaim("checkpoint")
        assert await store.reclaim("checkpoint") > 0


async def test_a_small_database_has_nothing_to_reclaim(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "agent.db") as store:
        await store.commit(Put(Kind.IMAGE, UID, {}))
        await store.records(Kind.IMAGE)
        assert set(await store.reclaimable()) <= {"optimize"}


async def test_what_could_be_reclaimed_is_told_also_while_a_backup_is_put_back(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "agent.db") as store:
        await store.commit(Put(Kind.IMAGE, UID, {}))
        await store.backup(tmp_path / "backup")
        for _ in range(20):
            restoring = asyncio.create_task(store.restore(tmp_path / "backup"))
            looks = []
            while not restoring.done():
                looks.append(asyncio.create_task(store.reclaimable()))
                await asyncio.sleep(0.0005)
            await restoring
            assert all(set(found) <= {"optimize"} for found in await asyncio.gather(*looks))


async def test_a_restored_file_is_not_taken_from_a_foreign_hand(tmp_path: Path) -> None:
    await fill(tmp_path / "backup")
    execute(tmp_path / "backup", "PRAGMA application_id = 1")
    async with SqliteStore.open(tmp_path / "agent.db") as store:
        with pytest.raises(Invalid, match="another program"):
            await store.restore(tmp_path / "backup")

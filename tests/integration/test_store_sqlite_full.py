"""On a full disk nothing is half done, what is there can be read, and all is well again once there is room."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.adapters.sqlite.store import SqliteStore
from agent.errors import Unavailable
from agent.model import Kind
from agent.ports import Put
from tests.support.databases import UID, fill
from tests.support.small_disk import SmallDisk, small_disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk") as mounted:
        yield mounted


def big(number: int) -> Put:
    return Put(Kind.REPO, f"{number:032d}", {"text": "x" * 20_000}, f"repo{number}", references=[f"iso/{number}"])


async def test_a_commit_on_a_full_disk_does_nothing_and_says_why(disk: SmallDisk) -> None:
    async with SqliteStore.open(disk.path / "agent.db") as store:
        done = await store.commit(big(0))
        disk.fill()
        with pytest.raises(Unavailable, match="disk is full"):
            await store.commit(*(big(n) for n in range(1, 50)))
        assert store.problem == "cannot write to the database: the disk is full"
        assert [r.uid for r in await store.records(Kind.REPO)] == [f"{0:032d}"]
        assert await store.references("", 10) == ["iso/0"]
        disk.free()
        assert await store.commit(*(big(n) for n in range(1, 50))) > done
        assert store.problem is None
        assert len(await store.references("", 100)) == 50
        assert await store.check() == []


async def test_that_a_write_works_again_is_found_out_without_one(disk: SmallDisk) -> None:
    async with SqliteStore.open(disk.path / "agent.db") as store:
        done = await store.commit(big(0))
        disk.fill()
        with pytest.raises(Unavailable, match="disk is full"):
            await store.commit(*(big(n) for n in range(1, 50)))
        await store.reopen_if_needed()
        assert store.problem is not None
        told: list[frozenset[Kind]] = []
        store.on_change(told.append)
        disk.free()
        await store.reopen_if_needed()
        assert store.problem is None
        assert told == [frozenset(Kind)]
        assert await store.commit(big(1)) == done + 1


async def test_a_full_disk_at_the_start_leaves_the_records_readable(disk: SmallDisk) -> None:
    path = disk.path / "agent.db"
    await fill(path, 3)
    disk.fill()
    async with SqliteStore.open(path) as store:
        assert store.problem is None
        assert await store.references("", 10) == ["files/0", "files/1", "files/2"]
        with pytest.raises(Unavailable, match="disk is full"):
            await store.commit(big(0))
        for operation in (store.check(), store.backup(disk.path / "backup")):
            with pytest.raises(Unavailable, match="disk is full"):
                await operation
        await store.reopen_if_needed()
        with pytest.raises(Unavailable, match="disk is full"):
            await store.commit(big(0))
        disk.free()
        await store.reopen_if_needed()
        await store.commit(big(0))
        assert await store.check() == []


async def test_a_database_is_begun_as_soon_as_there_is_room(disk: SmallDisk) -> None:
    disk.fill()
    async with SqliteStore.open(disk.path / "agent.db") as store:
        assert store.problem == "cannot begin the database: the disk is full"
        with pytest.raises(Unavailable):
            await store.reopen_if_needed()
        disk.free()
        await store.reopen_if_needed()
        await store.commit(big(0))


async def test_a_backup_that_finds_no_room_leaves_nothing(disk: SmallDisk, tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    await fill(path, 100)
    disk.fill()
    async with SqliteStore.open(path) as store:
        with pytest.raises(Unavailable, match="disk is full"):
            await store.backup(disk.path / "backup")
        assert store.problem is None
    assert [p.name for p in disk.path.iterdir()] == ["filler"]


async def test_a_restore_that_finds_no_room_changes_nothing(disk: SmallDisk, tmp_path: Path) -> None:
    path = disk.path / "agent.db"
    await fill(path, 3)
    async with SqliteStore.open(path) as store:
        await store.backup(tmp_path / "backup")
        disk.fill()
        with pytest.raises(Unavailable, match="disk is full"):
            await store.restore(tmp_path / "backup")
        assert len(await store.records(Kind.IMAGE)) == 3
    assert sorted(p.name for p in disk.path.iterdir()) == ["agent.db", "filler"]


async def test_a_database_that_cannot_be_written_is_reported(disk: SmallDisk) -> None:
    path = disk.path / "agent.db"
    await fill(path)
    disk.read_only()
    async with SqliteStore.open(path) as store:
        assert store.problem is not None
        assert "check the" in store.problem
    async with SqliteStore.open(disk.path / "other.db") as store:
        assert store.problem is not None
        with pytest.raises(Unavailable):
            await store.get(Kind.IMAGE, UID)


async def test_a_lock_that_another_program_holds_is_waited_out(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    await fill(path)
    holder = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); "
        "c.execute('PRAGMA locking_mode = EXCLUSIVE'); c.execute('BEGIN EXCLUSIVE'); print('held', flush=True); "
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        async with SqliteStore.open(path) as store:
            assert store.problem is not None
            assert "another program holds its lock" in store.problem
            process.communicate()
            await store.reopen_if_needed()
            assert store.problem is None

"""A damaged database is reported and left as it is; no new one is begun in its place."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from agent.adapters.sqlite.store import SqliteStore
from agent.errors import Unavailable
from agent.model import OBJECT_KINDS, Kind
from agent.ports import Delete, Put
from tests.support.databases import UID, contents, execute, fill, overwrite
from tests.support.logs import log_lines


def garbage_header(path: Path) -> None:
    overwrite(path, 0, b"garbage " * 8)


def all_garbage(path: Path) -> None:
    path.write_bytes(os.urandom(65536))


def corrupted_page(path: Path) -> None:
    overwrite(path, 3 * 4096, b"\xff" * 4096)


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2 // 4096 * 4096)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def newer_schema(path: Path) -> None:
    execute(path, "PRAGMA user_version = 1000")


def no_schema(path: Path) -> None:
    execute(path, "PRAGMA user_version = 0")


def another_program(path: Path) -> None:
    path.unlink()
    execute(path, "CREATE TABLE theirs (x)", "PRAGMA application_id = 77")


def orphaned_reference(path: Path) -> None:
    execute(path, "PRAGMA foreign_keys = OFF", "INSERT INTO reference VALUES (x'61', 4711)")


def a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def a_dangling_link(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("nowhere"))


def gone_but_for_its_log(path: Path) -> None:
    path.rename(path.with_name("agent.db-wal"))


def garbage_body(path: Path) -> None:
    execute(path, "UPDATE record SET body = '{'")


def garbage_reference(path: Path) -> None:
    execute(path, "UPDATE reference SET key = x'ff'")


DAMAGES = [
    garbage_header,
    all_garbage,
    corrupted_page,
    truncated,
    emptied,
    newer_schema,
    no_schema,
    another_program,
    orphaned_reference,
    a_directory,
    a_pipe,
    a_dangling_link,
    gone_but_for_its_log,
]


@pytest.mark.parametrize("damage", DAMAGES)
async def test_damage_is_reported_and_the_file_left_as_it_is(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    path = tmp_path / "agent.db"
    await fill(path, 100)
    damage(path)
    before = contents(tmp_path)
    async with SqliteStore.open(path) as store:
        assert store.problem is not None
        assert str(tmp_path) not in store.problem
        for operation in (
            store.get(Kind.IMAGE, UID),
            store.find(Kind.IMAGE, "x"),
            store.records(Kind.IMAGE),
            store.references("", 1),
            store.commit(Put(Kind.IMAGE, UID, {})),
            store.reclaimable(),
            store.reclaim("checkpoint"),
            store.backup(tmp_path / "backup"),
            store.reopen_if_needed(),
        ):
            with pytest.raises(Unavailable, match=r"cannot .* the database: "):
                await operation
        assert await store.check() == [store.problem]
        assert await store.size() >= 0
    left = contents(tmp_path)
    for companion in ("agent.db-shm", "agent.db-wal"):
        if companion not in before:
            assert not left.pop(companion, b"")
    assert left == before


@pytest.mark.parametrize("kinds", [tuple(Kind), OBJECT_KINDS])
@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_backup_heals_any_damage(
    tmp_path: Path, damage: Callable[[Path], None], kinds: tuple[Kind, ...]
) -> None:
    path = tmp_path / "agent.db"
    await fill(path, 100)
    async with SqliteStore.open(path) as store:
        await store.backup(tmp_path / "backup")
    damage(path)
    async with SqliteStore.open(path) as store:
        aside = await store.restore(tmp_path / "backup", kinds)
        assert store.problem is None
        assert len(await store.records(Kind.IMAGE)) == 100
        await store.commit(Put(Kind.IMAGE, UID, {}))
    assert any(name.startswith(aside.name) for name in os.listdir(tmp_path))


async def test_a_backup_heals_a_record_that_nobody_has_read_yet(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    async with SqliteStore.open(path) as store:
        await store.commit(Put(Kind.HEAD, UID, {"v": 1}))
        await store.backup(tmp_path / "backup")
        execute(path, "UPDATE record SET body = '{'")
        await store.restore(tmp_path / "backup", OBJECT_KINDS)
        head = await store.get(Kind.HEAD, UID)
        assert head is not None
        assert head.body == {"v": 1}


async def test_a_missing_directory_is_reported_and_tried_again(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "later" / "agent.db") as store:
        assert store.problem is not None
        assert "No such file or directory" in store.problem
        with pytest.raises(Unavailable):
            await store.reopen_if_needed()
        (tmp_path / "later").mkdir()
        await store.reopen_if_needed()
        assert store.problem is None
        await store.commit(Put(Kind.IMAGE, UID, {}))


async def test_a_problem_that_stays_is_logged_once(tmp_path: Path) -> None:
    with log_lines() as lines:
        async with SqliteStore.open(tmp_path / "later" / "agent.db") as store:
            for _ in range(3):
                with pytest.raises(Unavailable):
                    await store.reopen_if_needed()
    assert [line["event"] for line in lines] == ["Database unusable"]


async def test_a_directory_that_is_a_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    async with SqliteStore.open(tmp_path / "file" / "agent.db") as store:
        assert store.problem is not None
        assert await store.size() == 0


async def test_coming_back_is_told(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "later" / "agent.db") as store:
        told: list[frozenset[Kind]] = []
        store.on_change(told.append)
        with pytest.raises(Unavailable):
            await store.reopen_if_needed()
        assert told == []
        (tmp_path / "later").mkdir()
        await store.reopen_if_needed()
        assert told == [frozenset(Kind)]


@pytest.mark.parametrize("damage", [garbage_body, garbage_reference])
async def test_content_that_is_not_what_was_written_is_damage(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    path = tmp_path / "agent.db"
    await fill(path)
    damage(path)
    async with SqliteStore.open(path) as store:
        read: list[Awaitable[object]] = [store.records(Kind.IMAGE), store.references("", 10)]
        outcomes = await asyncio.gather(*read, return_exceptions=True)
        assert any(isinstance(outcome, Unavailable) for outcome in outcomes)
        assert store.problem is not None


async def test_damage_that_comes_while_the_database_is_in_use_is_found_by_a_check(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    await fill(path, 1000)
    async with SqliteStore.open(path) as store:
        told: set[Kind] = set()
        store.on_change(told.update)
        overwrite(path, 20 * 4096, os.urandom(40 * 4096))
        assert await store.check()
        assert store.problem is not None
        assert told == set(Kind)
        with pytest.raises(Unavailable):
            await store.get(Kind.IMAGE, UID)


async def test_damage_that_a_read_meets_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    await fill(path, 5000)
    async with SqliteStore.open(path) as store:
        overwrite(path, 2 * 4096, b"\xff" * (path.stat().st_size - 2 * 4096))
        with pytest.raises(Unavailable):
            await store.records(Kind.IMAGE)
        assert store.problem is not None


@pytest.mark.parametrize("act", [Path.unlink, lambda path: path.rename(path.with_name("moved"))])
async def test_nothing_is_written_to_a_file_that_was_taken_away(tmp_path: Path, act: Callable[[Path], None]) -> None:
    path = tmp_path / "agent.db"
    await fill(path)
    async with SqliteStore.open(path) as store:
        act(path)
        with pytest.raises(Unavailable, match="moved or replaced"):
            await store.commit(Delete(Kind.IMAGE, f"{0:032d}"))
        assert store.problem is not None

"""Migrating and recovering: when they may be, and what they leave."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.database.engines import Engines
from agent.errors import Conflict, Unavailable
from agent.model import Kind, Record
from agent.ports import Attachment, Put
from tests.support.database import DatabaseRoom
from tests.support.memory_store import MemoryStore

ME, OTHER = "a" * 32, "b" * 32


class Local:
    """A local engine that notes what it was told to do."""

    def __init__(self, store: MemoryStore) -> None:
        self.done: list[str] = []
        self.asked: Callable[[], object] = lambda: None
        self._store = store

    async def attach(self, attachment: Attachment) -> None:
        raise NotImplementedError

    async def believed(self) -> str | None:
        return None

    async def found(self, kind: str, records: object = None) -> None:
        assert records is None
        self.done.append(f"found {kind}")
        self.asked()

    async def rescue(self) -> None:
        self.done.append("rescue")
        self.asked()
        self._store.age = None


class Cluster:
    """The cluster's side of an engine, of which only the kind is asked."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    async def members(self) -> tuple[()]:
        return ()

    async def objection(self, uid: str) -> str | None:
        return None

    async def invite(self, uid: str, peer_url: str) -> Attachment:
        raise NotImplementedError

    async def promote(self, uid: str) -> bool:
        return True

    async def dismiss(self, uid: str) -> None:
        raise NotImplementedError


class Room:
    """Everything behind `Engines`."""

    def __init__(self, directory: Path, kind: str, heads: set[str], age: float | None = None) -> None:
        self.database = DatabaseRoom(directory / "backups")
        self.store = self.database.store
        self.store.age = age
        self.local = Local(self.store)
        self.engines = Engines(self.store, Cluster(kind), self.local, self.database.backups, lambda: heads, ME)

    async def records(self, kind: Kind) -> list[Record]:
        return await self.store.records(kind)


async def test_a_single_head_migrates_behind_a_backup(tmp_path: Path) -> None:
    room = Room(tmp_path, "sqlite", {ME})
    await room.store.commit(Put(Kind.IMAGE, "1" * 32, {"name": "x"}, "x"))

    done = await room.engines.migrate()

    assert room.local.done == ["found etcd"]
    assert (done.engine, done.records) == ("etcd", 1)
    assert done.backup is not None
    assert [backup.name for backup in await room.database.backups.listing()] == [done.backup.name]


@pytest.mark.parametrize(("kind", "work"), [("sqlite", "migrate"), ("etcd", "recover")])
async def test_how_far_a_change_of_engine_has_come_can_be_asked_meanwhile(tmp_path: Path, kind: str, work: str) -> None:
    room = Room(tmp_path, kind, {ME}, age=None if kind == "sqlite" else 9.0)
    told: list[tuple[int, int] | None] = []

    def ask() -> None:
        progress = room.engines.progress
        told.append((progress.done, progress.total) if progress else None)

    room.local.asked = ask
    await getattr(room.engines, work)()
    ask()
    assert told == [(1, 3), None]


async def test_a_head_with_peers_does_not_and_is_told_the_way(tmp_path: Path) -> None:
    room = Room(tmp_path, "sqlite", {ME, OTHER})

    with pytest.raises(Conflict, match="cw-headctl leave") as refused:
        await room.engines.migrate()

    assert refused.value.code == "has-peers"
    assert refused.value.data == {"heads": [OTHER]}
    assert room.local.done == []
    assert await room.database.backups.listing() == []


async def test_a_head_on_etcd_has_nothing_to_migrate(tmp_path: Path) -> None:
    room = Room(tmp_path, "etcd", {ME, OTHER})

    done = await room.engines.migrate()

    assert done.backup is None
    assert room.local.done == []


async def test_without_a_backup_nothing_begins(tmp_path: Path) -> None:
    (tmp_path / "backups").touch()  # where the directory should be
    room = Room(tmp_path, "sqlite", {ME})

    with pytest.raises(Unavailable, match="nothing was changed"):
        await room.engines.migrate()

    assert room.local.done == []


async def test_a_recovery_names_the_heads_that_it_leaves_behind(tmp_path: Path) -> None:
    room = Room(tmp_path, "etcd", {ME, OTHER})
    await room.store.commit(Put(Kind.IMAGE, OTHER, {"name": "kept"}, "kept"))

    room.store.age = 30.0
    done = await room.engines.recover()

    assert room.local.done == ["rescue"]
    assert (done.records, done.others) == (1, [OTHER])


@pytest.mark.parametrize(("kind", "age", "code"), [("sqlite", None, "not-etcd"), ("etcd", None, "has-quorum")])
async def test_where_there_is_nothing_to_recover_from_it_is_refused(
    tmp_path: Path, kind: str, age: float | None, code: str
) -> None:
    room = Room(tmp_path, kind, {ME}, age)

    with pytest.raises(Conflict) as refused:
        await room.engines.recover()

    assert refused.value.code == code
    assert room.local.done == []


async def test_one_change_at_a_time(tmp_path: Path) -> None:
    room = Room(tmp_path, "sqlite", {ME})
    with room.database.backups.doing("clean the database"), pytest.raises(Conflict, match="clean the database"):
        await room.engines.migrate()

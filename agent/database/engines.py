"""From one engine to another: a single head's records into etcd, and out of an etcd whose quorum is gone for good."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator

import structlog
from msgspec import Struct

from agent.database.backups import Backup, Backups
from agent.errors import Conflict
from agent.model import Kind, Progress
from agent.ports import ClusterEngine, LocalEngine, Store

log = structlog.get_logger()


class Migrated(Struct, frozen=True):
    """What a migration did; `backup` is null when there was nothing to do, as the records were in etcd already."""

    engine: str
    records: int
    backup: Backup | None = None


class Recovered(Struct, frozen=True):
    """What a recovery did; `others` are the heads that were left behind."""

    records: int
    others: list[str]
    backup: Backup


class Engines:
    """Changes the engine behind this head's records, each time behind a backup. Raises Conflict or Unavailable."""

    def __init__(
        self,
        store: Store,
        cluster: ClusterEngine,
        local: LocalEngine,
        backups: Backups,
        heads: Callable[[], Collection[str]],
        self_uid: str,
    ) -> None:
        """`heads` gives the uids of all heads that have records; raises Unavailable."""
        self._store = store
        self._cluster = cluster
        self._local = local
        self._backups = backups
        self._heads = heads
        self._self_uid = self_uid
        self.progress: Progress | None = None
        """How many steps the change of engine that is under way has done."""

    async def migrate(self) -> Migrated:
        """Take a single head's records from SQLite into an etcd of its own, to which others can then come."""
        with self._backups.doing("migrate the database"):
            if self._cluster.kind == "etcd":
                return Migrated("etcd", await self._count())
            if others := self._others():
                few = "is another head" if len(others) == 1 else f"are {len(others)} other heads"
                raise Conflict(
                    f"cannot migrate: there {few} in this cluster, and on SQLite each keeps "
                    "objects of its own. Have them leave (`cw-headctl leave` on each) or remove them, migrate this "
                    "head, then have them join again; nothing was changed",
                    code="has-peers",
                    data={"heads": others},
                )
            with self._steps() as begin:
                begin(0, "write a backup")
                backup = await self._backups.write()
                begin(1, "start etcd and copy the records")
                await self._local.found("etcd")
                begin(2, "count them")
                count = await self._count()
        log.info("Database migrated", engine="etcd", records=count, backup=backup.name)
        return Migrated("etcd", count, backup)

    async def recover(self) -> Recovered:
        """Go on with this head alone, in a cluster of its own, after the engine's quorum is gone for good.

        It is a new cluster: should the others get their quorum back after all, these are two, and none is mistaken
        for the other.
        """
        with self._backups.doing("recover the database"):
            if self._cluster.kind != "etcd":
                raise Conflict(
                    "cannot recover: this head's records are in a file of its own, which needs no quorum. For a "
                    "damaged one see `cw-headctl database restore`; nothing was changed",
                    code="not-etcd",
                )
            if self._store.age is None:
                raise Conflict(
                    "cannot recover: the database has its quorum, so there is nothing to recover from. Heads that are "
                    "gone are removed with DELETE /heads/down or DELETE /head/<uid>; nothing was changed",
                    code="has-quorum",
                )
            with self._steps() as begin:
                begin(0, "write a backup")
                backup = await self._backups.write()
                others = self._others()
                begin(1, "start an etcd of this head's own with the newest records")
                await self._local.rescue()
                begin(2, "count them")
                count = await self._count()
        log.warning(
            "Database recovered: this head goes on alone, in a new cluster",
            records=count,
            backup=backup.name,
            others=others,
            todo="make new tokens (`cw-headctl token`); another head that is to come back joins again, with --force",
        )
        return Recovered(count, others, backup)

    @contextlib.contextmanager
    def _steps(self) -> Iterator[Callable[[int, str], None]]:
        """What tells which of the three steps begins; whoever asks afterwards hears of none."""

        def begin(number: int, step: str) -> None:
            self.progress = Progress(number, 3, step)

        try:
            yield begin
        finally:
            self.progress = None

    def _others(self) -> list[str]:
        return sorted(set(self._heads()) - {self._self_uid})

    async def _count(self) -> int:
        return sum([len(await self._store.records(kind)) for kind in Kind])

"""From one engine to another: a single head's records into etcd, and out of an etcd whose quorum is gone for good."""

from __future__ import annotations

from collections.abc import Callable, Collection

import structlog
from msgspec import Struct

from agent.database.backups import Backup, Backups
from agent.errors import Conflict
from agent.model import Kind
from agent.ports import ClusterEngine, Delete, LocalEngine, Store

log = structlog.get_logger()

_BATCH = 100
"""Records that are deleted in one commit."""


class Migrated(Struct, frozen=True):
    """What a migration did; `backup` is null when there was nothing to do, as the records were in etcd already."""

    engine: str
    records: int
    backup: Backup | None = None


class Recovered(Struct, frozen=True):
    """What a recovery did; `others` are the heads that still have records and are no members of the engine now."""

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

    async def migrate(self) -> Migrated:
        """Take a single head's records from SQLite into an etcd of its own, to which others can then come."""
        with self._backups.doing("migrate the database"):
            if self._cluster.kind == "etcd":
                return Migrated("etcd", await self._count())
            if others := self._others():
                raise Conflict(
                    f"cannot migrate: {len(others)} other head(s) are in this cluster, and on SQLite each keeps "
                    "objects of its own. Have them leave (`cw-headctl leave` on each) or remove them, migrate this "
                    "head, then have them join again; nothing was changed",
                    code="has-peers",
                    data={"heads": others},
                )
            backup = await self._backups.write()
            await self._local.found("etcd")
            count = await self._count()
        log.info("Database migrated", engine="etcd", records=count, backup=backup.name)
        return Migrated("etcd", count, backup)

    async def recover(self) -> Recovered:
        """Go on with this head as the engine's only member, after its quorum is gone for good.

        The other heads stay records, to be evicted by whoever knows that they are gone; what they agreed on of each
        other, and the locks that they held, goes.
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
            backup = await self._backups.write()
            await self._local.rescue()
            await self._forget(Kind.VERDICT)
            await self._forget(Kind.LOCK)
            count = await self._count()
        others = self._others()
        log.warning(
            "Database recovered: this head is its only member",
            records=count,
            backup=backup.name,
            others=others,
            todo="remove the others now (`cw-headctl heads evict UID --force`); any that still runs has to join again",
        )
        return Recovered(count, others, backup)

    def _others(self) -> list[str]:
        return sorted(set(self._heads()) - {self._self_uid})

    async def _count(self) -> int:
        return sum([len(await self._store.records(kind)) for kind in Kind])

    async def _forget(self, kind: Kind) -> None:
        records = await self._store.records(kind)
        for start in range(0, len(records), _BATCH):
            await self._store.commit(*(Delete(kind, record.uid) for record in records[start : start + _BATCH]))

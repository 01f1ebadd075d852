"""The shared engine: records in etcd, read from a cache that a watch keeps up to date."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import structlog

from agent.adapters.etcd.cache import Cache
from agent.adapters.etcd.client import EtcdClient
from agent.adapters.etcd.commits import Committer
from agent.adapters.etcd.errors import NoQuorum
from agent.adapters.etcd.generations import install
from agent.adapters.etcd.keys import ROOT, Layout, NameKey, encode
from agent.adapters.etcd.lasting import LastingCopy
from agent.adapters.etcd.pulse import Pulse
from agent.adapters.etcd.upkeep import Upkeep, told
from agent.adapters.etcd.watch import Follower
from agent.adapters.etcd.wire import untouched
from agent.adapters.sqlite import archive
from agent.adapters.sqlite.file import beside
from agent.errors import AgentError, Unavailable
from agent.loops import Loops, lasting
from agent.model import Kind, Record
from agent.ports import Change, Clock
from agent.records.shape import SHAPE

log = structlog.get_logger()

_EMPTY, _ROW = 2**16, 2**8
"""Bytes that a backup without any record takes at most, and a third of what each takes there besides its content."""
FIRST = 3.0
"""Seconds that opening waits for a quorum; without one the store opens all the same, with the copy on disk."""


class EtcdStore:
    """`Store` and `StoreEngine` over etcd.

    Without a quorum it answers from its cache, or from the copy on disk after a start, and says so by `age`; it goes
    on by itself when the quorum is back.
    """

    def __init__(self, client: EtcdClient, owner: str, clock: Clock, copy: Path | None, root: str) -> None:
        layout = Layout(root)
        self._client = client
        self._layout = layout
        self._copy = copy
        self._closed = False
        self._callbacks: list[Callable[[frozenset[Kind]], None]] = []
        self._cache = Cache()
        self._follower = Follower(client, layout, self._cache, self._tell)
        self._pulse = Pulse(client, layout, self._cache, self._follower, clock, self._tell)
        self._committer = Committer(client, layout, self._cache, self._pulse, clock, owner)
        self._lasting = LastingCopy(copy, self._cache, self._pulse, clock)
        self._upkeep = Upkeep(client, layout)

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls,
        client: EtcdClient,
        owner: str,
        clock: Clock,
        copy: Path | None = None,
        loops: Loops | None = None,
        *,
        root: str = ROOT,
    ) -> AsyncIterator[EtcdStore]:
        """The store of head `owner`, followed until the end; the client is closed by whoever made it.

        Does not fail for want of a quorum: see `age` and `problem`. `copy`: where the records are kept for a start
        without one.
        """
        store = cls(client, owner, clock, copy, root)
        await store._lasting.load()
        loops = loops or Loops()
        try:
            async with asyncio.TaskGroup() as group:
                works = (store._follower.run, partial(store._pulse.run, loops), store._lasting.run)
                tasks = [group.create_task(lasting(work)) for work in works]
                try:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(FIRST):
                            await store._pulse.first.wait()
                            await store._lasting.write()
                    yield store
                finally:
                    store._closed = True
                    for task in tasks:
                        task.cancel()
        finally:
            await store._lasting.close()

    # --- Store ---

    @property
    def age(self) -> float | None:
        """Seconds since what is read was last confirmed by a quorum; None while that is but a few."""
        return self._pulse.age

    async def get(self, kind: Kind, uid: str) -> Record | None:
        """The record, or None."""
        self._check()
        return self._cache.record(kind, uid)

    async def find(self, kind: Kind, name: str) -> Record | None:
        """The record of that kind with that name, or None."""
        self._check()
        uid = self._cache.holder(NameKey(kind, name))
        return self._cache.record(kind, uid) if uid is not None else None

    async def records(self, kind: Kind) -> list[Record]:
        """All records of a kind, sorted by uid."""
        self._check()
        return self._cache.records(kind)

    async def references(self, after: str, limit: int) -> list[str]:
        """Up to `limit` referenced filenames after `after`, in walk order."""
        self._check()
        return await self._cache.references(after, limit)

    async def commit(self, *changes: Change) -> int:
        """Apply all changes or none, on the disks of a quorum before it returns."""
        self._check()
        self._need_quorum()
        if not changes:
            return self._cache.newest
        return await self._committer.commit(changes) + self._cache.current.base

    def on_change(self, callback: Callable[[frozenset[Kind]], None]) -> None:
        """Have `callback` called after each change by any head; with every kind when the quorum goes or comes back."""
        self._callbacks.append(callback)

    # --- StoreEngine ---

    @property
    def kind(self) -> str:
        """The shared engine's name."""
        return "etcd"

    @property
    def problem(self) -> str | None:
        """Why the database cannot be written, or None."""
        try:
            self._check()
            self._need_quorum()
        except Unavailable as err:
            return err.reason
        return next((told(alarm, {}) for alarm in self._pulse.alarms), None)

    @property
    def revision(self) -> int:
        """The newest revision that is known."""
        return self._cache.newest

    async def check(self) -> list[str]:
        """Alarms, members that do not answer, and members that do not hold the same records."""
        try:
            return await self._upkeep.check()
        except Unavailable as err:
            return [err.reason]

    async def size(self) -> int:
        """Bytes of etcd's database file on one member; of the copy on this head's disk while no member answers."""
        try:
            return await self._upkeep.size()
        except Unavailable:
            return await asyncio.to_thread(self._lasting.size)

    async def backup_size(self) -> int:
        """Three times the bytes of the records; etcd's own file has all that was forgotten or overwritten besides."""
        rows = self._cache.rows()

        def counted() -> int:
            return sum(_ROW + len(encode(row.record.body, row.record.name, row.references)) for row in rows)

        return _EMPTY + 3 * await asyncio.to_thread(counted)

    async def reclaimable(self) -> dict[str, int]:
        """`compact`, `defragment:<member>` and `disarm`, where due."""
        return await self._upkeep.reclaimable()

    async def reclaim(self, action: str) -> int:
        """Do one of them; returns the bytes freed. Raises NotFound for any other word."""
        self._need_quorum()
        freed = await self._upkeep.reclaim(action)
        try:
            await self._pulse.survey()
        except AgentError:
            self._pulse.survey_soon()
        return freed

    async def backup(self, target: Path) -> int:
        """Write all records as of one revision to `target`, in SQLite; without a quorum, those that are known."""
        self._check()
        if not self._pulse.away:
            await self._pulse.confirm()
        return await asyncio.to_thread(archive.write, target, self._cache.rows(), self._cache.newest)

    async def restore(self, source: Path, kinds: Collection[Kind] = tuple(Kind)) -> Path:
        """Make the records of these kinds those of a checked backup, at one moment for all heads.

        The others stay as they are, and Conflict is raised where who is in the cluster, if among them, changes
        meanwhile. Cut off at any point, all heads have the former records or the new ones. Returns where those are
        that were there before.
        """
        wanted = await asyncio.to_thread(archive.read, source)
        self._need_quorum()
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        aside = beside(self._copy or source, f".before-restore-{stamp}")
        await self._pulse.confirm()
        await asyncio.to_thread(archive.write, aside, self._cache.rows(), self._cache.newest)
        rows, since = self._cache.renewed(wanted.rows, kinds), self._cache.revision
        generation = self._cache.current.generation
        unless = [untouched(*self._layout.records(generation, kind), since) for kind in SHAPE if kind not in kinds]
        await self._pulse.seen(await install(self._client, self._layout, rows, unless=unless))
        log.warning("Database restored", backup=str(source), old=str(aside))
        return aside

    def _check(self) -> None:
        if self._closed:
            raise Unavailable("the database is closed: the agent is stopping, or changing engines")
        self._cache.check()

    def _need_quorum(self) -> None:
        if self._closed or self._pulse.away:
            failure = self._pulse.failure
            if isinstance(failure, NoQuorum):
                raise NoQuorum(failure.reason)
            raise NoQuorum(self._client.explain(failure.reason if failure else "none has answered yet"))

    def _tell(self, kinds: frozenset[Kind]) -> None:
        for callback in self._callbacks:
            callback(kinds)

"""The store that everybody holds, whichever engine is in force; an engine can be exchanged while the agent runs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection
from pathlib import Path
from time import monotonic
from typing import Protocol

from agent.errors import Unavailable
from agent.histogram import Histogram
from agent.model import Kind, Record
from agent.ports import Change, Store, StoreEngine

PATIENCE = 30.0
"""Seconds that a commit waits for a change of engines to end; the longest is a start of etcd with an import."""

COMMITS = (0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0)
"""Seconds that commits are counted by."""


class Engine(Store, StoreEngine, Protocol):
    """A store whole: its records, and what cleaning and backups need."""


class CurrentStore:
    """`Store` and `StoreEngine` over the engine in force.

    Whoever wanted to know of changes is told by each engine in its turn, and of every kind when they change places.
    """

    def __init__(self, engine: Engine) -> None:
        self.barred: Callable[[], str | None] = lambda: None
        """Why this head may not write any more, or None."""
        self.commits = Histogram(COMMITS)
        """How long those took that were done."""
        self.uncommitted = 0
        """How many were not done as the database was away, its disk full or its quorum gone."""
        self._engine = engine
        self._callbacks: list[Callable[[frozenset[Kind]], None]] = []
        self._switches = 0
        self._committing = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._open = asyncio.Event()
        self._open.set()
        self._listen(engine)

    def switch(self, engine: Engine) -> None:
        """Put another engine in force; the former one is closed by whoever opened it, afterwards."""
        self._engine = engine
        self._listen(engine)
        self._tell(frozenset(Kind))

    @contextlib.asynccontextmanager
    async def still(self) -> AsyncIterator[None]:
        """Have no commit under way meanwhile: those that began end first, new ones wait."""
        if not self._open.is_set():
            raise Unavailable("the database is being moved to another engine: try again in a moment")
        self._open.clear()
        try:
            await self._quiet.wait()
            yield
        finally:
            self._open.set()

    # --- Store ---

    @property
    def age(self) -> float | None:
        """Seconds since what is read here was last known to be the newest; None while it is."""
        return self._engine.age

    async def get(self, kind: Kind, uid: str) -> Record | None:
        """The record, or None."""
        return await self._engine.get(kind, uid)

    async def find(self, kind: Kind, name: str) -> Record | None:
        """The record of that kind with that name, or None."""
        return await self._engine.find(kind, name)

    async def records(self, kind: Kind) -> list[Record]:
        """All records of a kind, sorted by uid."""
        return await self._engine.records(kind)

    async def references(self, after: str, limit: int) -> list[str]:
        """Up to `limit` referenced filenames after `after`, in walk order."""
        return await self._engine.references(after, limit)

    async def commit(self, *changes: Change) -> int:
        """Apply all changes or none; while engines change places it waits.

        Raises Unavailable when that takes long, or while this head is `barred`.
        """
        if (reason := self.barred()) is not None:
            raise Unavailable(reason, code="removed")
        while not self._open.is_set():
            try:
                async with asyncio.timeout(PATIENCE):
                    await self._open.wait()
            except TimeoutError as err:
                raise Unavailable("the database is being moved to another engine: try again in a moment") from err
        self._committing += 1
        self._quiet.clear()
        began = monotonic()
        try:
            revision = await self._engine.commit(*changes)
        except Unavailable:
            self.uncommitted += 1
            raise
        else:
            self.commits.note(monotonic() - began)
            return revision
        finally:
            self._committing -= 1
            if not self._committing:
                self._quiet.set()

    def on_change(self, callback: Callable[[frozenset[Kind]], None]) -> None:
        """Have `callback` called after each commit, whatever the engine, and with every kind when that changes."""
        self._callbacks.append(callback)

    # --- StoreEngine ---

    @property
    def kind(self) -> str:
        """Which engine it is: `sqlite` or `etcd`."""
        return self._engine.kind

    @property
    def problem(self) -> str | None:
        """Why the database cannot be used, or None."""
        return self._engine.problem

    @property
    def revision(self) -> int:
        """The newest revision that is known."""
        return self._engine.revision

    async def check(self) -> list[str]:
        """An integrity check: what is wrong."""
        return await self._engine.check()

    async def size(self) -> int:
        """Bytes on disk."""
        return await self._engine.size()

    async def backup_size(self) -> int:
        """Bytes that a backup takes at most, about."""
        return await self._engine.backup_size()

    async def reclaimable(self) -> dict[str, int]:
        """The engine's own clean-up work that is worth doing."""
        return await self._engine.reclaimable()

    async def reclaim(self, action: str) -> int:
        """Do one such action; returns the bytes freed."""
        return await self._engine.reclaim(action)

    async def backup(self, target: Path) -> int:
        """Write a consistent copy to `target`; its size."""
        return await self._engine.backup(target)

    async def restore(self, source: Path, kinds: Collection[Kind] = tuple(Kind)) -> Path:
        """Put a copy of `source` in the database's place; returns where the old one was moved to."""
        return await self._engine.restore(source, kinds)

    def _listen(self, engine: Engine) -> None:
        self._switches += 1
        switches = self._switches

        def heard(kinds: frozenset[Kind]) -> None:
            if self._switches == switches:
                self._tell(kinds)

        engine.on_change(heard)

    def _tell(self, kinds: frozenset[Kind]) -> None:
        for callback in self._callbacks:
            callback(kinds)

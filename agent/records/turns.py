"""Whose turn it is to remove or clean: nobody's without quorum or in the minority, one head's in a shared store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from agent.errors import Conflict, Unavailable
from agent.ports import Change, Store, StoreEngine
from agent.records.locks import Lock, Locks

LOCK = "housekeeping"
"""The one lock of removals and cleans."""


class Turn(Protocol):
    """The leave to go on, asked for before each step."""

    async def renew(self, *changes: Change) -> None:
        """Prove that the turn still lasts, and make `changes` with the proof; raises Conflict or Unavailable."""
        ...


class Turns:
    """Gives the turn to one piece of work. `minority` tells whether this head hears too few of the others."""

    def __init__(self, store: Store, engine: StoreEngine, locks: Locks, minority: Callable[[], bool]) -> None:
        self._store = store
        self._engine = engine
        self._locks = locks
        self._minority = minority

    @property
    def shared(self) -> bool:
        """Whether the heads share one store, so that its locks and references are everybody's."""
        return self._engine.kind != "sqlite"

    def check(self, work: str) -> None:
        """Raises Unavailable (`no-quorum`) or Conflict (`minority`) when nothing may be removed or cleaned now."""
        age = self._store.age
        if age is not None:
            raise Unavailable(
                f"cannot {work}: the database has no quorum, and what is read is {age:.0f} s old; have the heads that "
                "are down come back, or see `cw-headctl database recover` when they are gone for good",
                code="no-quorum",
            )
        if self._minority():
            raise Conflict(
                f"cannot {work}: this head does not hear the larger part of the cluster, so it may itself be the one "
                "that is cut off; ask a head of that part",
                code="minority",
            )

    @asynccontextmanager
    async def turn(self, work: str) -> AsyncIterator[Turn]:
        """The turn for `work` ("clean the database"); raises Conflict (`busy`, `minority`) or Unavailable."""
        self.check(work)
        if not self.shared:
            yield _Renewal(self, work, self._store, None)
            return
        async with self._locks.holding(LOCK, work) as lock:
            yield _Renewal(self, work, self._store, lock)


class _Renewal:
    """A turn, with the lock where there is one."""

    def __init__(self, turns: Turns, work: str, store: Store, lock: Lock | None) -> None:
        self._turns = turns
        self._work = work
        self._store = store
        self._lock = lock

    async def renew(self, *changes: Change) -> None:
        """See Turn."""
        self._turns.check(self._work)
        if self._turns.shared != (self._lock is not None):
            raise Conflict(f"cannot go on to {self._work}: the database's engine has changed; ask again", code="busy")
        if self._lock is not None:
            await self._lock.renew(*changes)
        elif changes:
            await self._store.commit(*changes)

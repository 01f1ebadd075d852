"""Whose turn it is to remove or clean: nobody's without quorum or in the minority, one head's in a shared store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Protocol

import structlog

from agent.errors import Conflict, Unavailable
from agent.ports import Change, Store, StoreEngine
from agent.records.locks import Lock, Locks

log = structlog.get_logger()

LOCK = "housekeeping"
"""The one lock of removals and cleans."""
FULL = "no-space"
"""The code of what a shared store raises that takes no more writes for want of space."""


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
    async def turn(self, work: str, *, makes_room: bool = False) -> AsyncIterator[Turn]:
        """The turn for `work` ("clean the database"); raises Conflict (`busy`, `minority`) or Unavailable.

        Work that `makes_room` also has it, and keeps it, in a shared store that is full: that takes and moves no lock.
        """
        self.check(work)
        async with AsyncExitStack() as stack:
            lock = None
            if self.shared:
                try:
                    lock = await stack.enter_async_context(self._locks.holding(LOCK, work))
                except Unavailable as err:
                    if not makes_room or err.code != FULL:
                        raise
                    log.warning("Database is full: going on without the lock", work=work)
            yield _Renewal(self, work, self._store, lock, makes_room=makes_room)


class _Renewal:
    """A turn, with the lock where there is one."""

    def __init__(self, turns: Turns, work: str, store: Store, lock: Lock | None, *, makes_room: bool) -> None:
        self._turns = turns
        self._shared = turns.shared
        self._work = work
        self._store = store
        self._lock = lock
        self._makes_room = makes_room

    async def renew(self, *changes: Change) -> None:
        """See Turn."""
        self._turns.check(self._work)
        if self._turns.shared != self._shared:
            raise Conflict(f"cannot go on to {self._work}: the database's engine has changed; ask again", code="busy")
        if self._lock is not None:
            try:
                await self._lock.renew(*changes)
            except Unavailable as err:
                if changes or not self._makes_room or err.code != FULL:
                    raise
        elif changes:
            await self._store.commit(*changes)

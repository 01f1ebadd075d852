"""A database that all heads share: one truth, and each head's cache of it, a little behind."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from typing_extensions import override

from agent.errors import Unavailable
from agent.model import Kind
from agent.ports import Change
from tests.simulator.world import World
from tests.support.memory_store import MemoryStore

T = TypeVar("T")

_SLOWEST = 0.05
"""Seconds after which a commit has come to every cache."""


def finished(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never has to wait."""
    try:
        work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    raise AssertionError("it waits for something, and nothing here would wake it")


class SharedDatabase:
    """The truth, as etcd's quorum has it."""

    def __init__(self, world: World) -> None:
        self.truth = MemoryStore(kind="etcd")
        self.caches: dict[str, CachedStore] = {}
        self._world = world

    def open(self, uid: str) -> CachedStore:
        """A head's cache, begun anew."""
        cache = self.caches[uid] = CachedStore(self)
        cache.catch_up()
        return cache

    def spread(self, kinds: frozenset[Kind]) -> None:
        """Have every cache see the newest state soon."""
        for cache in self.caches.values():
            self._world.after(self._world.random.uniform(0.001, _SLOWEST), cache.catch_up, kinds)


class CachedStore(MemoryStore):
    """`Store` of one head; with `age` set it is without quorum, stays as it was and refuses commits."""

    def __init__(self, database: SharedDatabase) -> None:
        super().__init__(kind="etcd")
        self._database = database

    def catch_up(self, kinds: frozenset[Kind] = frozenset(Kind)) -> None:
        """See the newest state."""
        truth = self._database.truth
        if self.age is None and self.revision < truth.revision:
            self.revision, self._rows = truth.revision, truth._rows
            self._tell(kinds)

    @override
    async def commit(self, *changes: Change) -> int:
        """Apply all changes or none, to the truth."""
        if self.age is not None:
            raise Unavailable("there is no quorum", code="no-quorum")
        revision = await self._database.truth.commit(*changes)
        kinds = frozenset(change.kind for change in changes)
        self.catch_up(kinds)
        self._database.spread(kinds)
        return revision

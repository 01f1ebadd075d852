"""Whose turn it is to remove or clean."""

from __future__ import annotations

import pytest

from agent.errors import AgentError, Conflict, Unavailable
from agent.model import Kind
from agent.ports import Put
from agent.records.locks import Locks
from agent.records.turns import LOCK, Turns
from tests.support.clock import StillClock
from tests.support.memory_store import MemoryStore

A, B = "a" * 32, "b" * 32


class Head:
    """One head over a store."""

    def __init__(self, store: MemoryStore, uid: str) -> None:
        self.minority = False
        self.turns = Turns(store, store, Locks(store, uid, StillClock(), lambda _uid: False), lambda: self.minority)


@pytest.fixture
def store() -> MemoryStore:
    """A store that the heads share."""
    return MemoryStore(kind="etcd")


async def test_in_a_shared_store_one_head_at_a_time_has_the_turn(store: MemoryStore) -> None:
    async with Head(store, A).turns.turn("remove unused files"):
        with pytest.raises(Conflict, match=f"head {A} has the lock, to remove unused files"):
            await Head(store, B).turns.turn("clean the database").__aenter__()
    async with Head(store, B).turns.turn("clean the database"):
        pass


async def test_on_a_store_of_its_own_a_head_needs_no_lock_and_writes_nothing() -> None:
    store = MemoryStore()
    async with Head(store, A).turns.turn("remove unused files") as turn:
        await turn.renew()
        assert store.revision == 0
        await turn.renew(Put(Kind.IMAGE, B, {}))
    assert store.revision == 1


async def test_without_quorum_or_in_the_minority_nobody_has_the_turn_nor_keeps_it(store: MemoryStore) -> None:
    head = Head(store, A)
    for begin, code in ((_lose_quorum, "no-quorum"), (_cut_off, "minority")):
        async with head.turns.turn("clean the database") as turn:
            await turn.renew()
            begin(store, head)
            with pytest.raises(AgentError) as lost:
                await turn.renew()
            assert lost.value.code == code
            with pytest.raises(AgentError) as refused:
                await head.turns.turn("clean the database").__aenter__()
            assert refused.value.code == code
            assert isinstance(refused.value, Unavailable if code == "no-quorum" else Conflict)
            store.age, head.minority = None, False


async def test_a_turn_does_not_outlive_a_change_of_the_engine(store: MemoryStore) -> None:
    async with Head(store, A).turns.turn("clean the database") as turn:
        store.kind = "sqlite"
        with pytest.raises(Conflict, match="engine has changed"):
            await turn.renew()


async def test_a_turn_that_was_taken_over_is_lost(store: MemoryStore) -> None:
    async with Head(store, A).turns.turn("clean the database") as turn:
        await store.commit(Put(Kind.LOCK, LOCK, {"work": "x", "holder": B, "run": "1", "since": ""}))
        with pytest.raises(Conflict) as lost:
            await turn.renew()
        assert lost.value.code == "lock-lost"
    assert await store.get(Kind.LOCK, LOCK) is not None


async def test_work_that_makes_room_keeps_the_turn_while_the_store_is_full(store: MemoryStore) -> None:
    async with Head(store, A).turns.turn("clean the database", makes_room=True) as turn:
        store.full = True  # as when the lock itself took the last of it
        await turn.renew()
        with pytest.raises(Unavailable) as refused:
            await turn.renew(Put(Kind.IMAGE, B, {}))
        assert refused.value.code == "no-space"
        store.full = False
        await turn.renew()
    assert await store.get(Kind.LOCK, LOCK) is None


async def test_other_work_loses_the_turn_when_the_store_is_full(store: MemoryStore) -> None:
    async with Head(store, A).turns.turn("remove unused files") as turn:
        store.full = True
        with pytest.raises(Unavailable, match="quota"):
            await turn.renew()
        store.full = False


def _lose_quorum(store: MemoryStore, _head: Head) -> None:
    store.age = 7.0


def _cut_off(_store: MemoryStore, head: Head) -> None:
    head.minority = True

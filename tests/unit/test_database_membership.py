"""Leaving: a head on the embedded engine has nothing to leave, and says which nothing."""

from __future__ import annotations

import pytest

from agent.database.membership import Membership
from agent.errors import Conflict, Unavailable
from agent.model import Kind
from agent.ports import Put
from tests.support.memory_store import MemoryStore

SELF, OTHER = "a" * 32, "b" * 32


async def refusal(*heads: str) -> Conflict:
    store = MemoryStore()
    for uid in heads:
        await store.commit(Put(Kind.HEAD, uid, {}))
    before = store.revision
    with pytest.raises(Conflict) as refused:
        await Membership(store, SELF).leave()
    assert store.revision == before
    return refused.value


async def test_head_alone_cannot_leave() -> None:
    assert (await refusal(SELF)).code == "alone"
    assert (await refusal()).code == "alone"


async def test_records_registered_by_hand_are_no_cluster_to_leave() -> None:
    refused = await refusal(SELF, OTHER)
    assert refused.code == "never-joined"
    assert "1 other head" in refused.reason


async def test_without_the_database_the_answer_is_not_a_guess() -> None:
    store = MemoryStore(problem="it is damaged")
    with pytest.raises(Unavailable):
        await Membership(store, SELF).leave()

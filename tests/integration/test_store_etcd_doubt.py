"""Commits whose answer does not come: reported as failed only when they did not happen, and never done twice."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest

from agent.adapters.clock import SystemClock
from agent.adapters.etcd.store import EtcdStore
from agent.errors import Conflict, Stale, Unavailable
from agent.model import Kind
from agent.ports import ABSENT, Delete, Put
from agent.records.locks import Locks
from tests.support.etcd import Etcd, one_etcd
from tests.support.etcd_relay import Relay, relaying
from tests.support.waiting import wait_for

__all__ = ["one_etcd"]

A, B = "a" * 32, "b" * 32
_roots = itertools.count()


@pytest.fixture
async def relay(one_etcd: Etcd) -> AsyncIterator[Relay]:
    async with relaying(one_etcd.members[0].url) as made:
        yield made


@pytest.fixture
def root() -> str:
    return f"/doubt{next(_roots)}/"


@pytest.fixture
async def store(one_etcd: Etcd, relay: Relay, root: str) -> AsyncIterator[EtcdStore]:
    """A store that reaches etcd through the relay only."""
    client = one_etcd.client([relay.url])
    try:
        async with EtcdStore.open(client, A, SystemClock(), root=root) as opened:
            client.endpoints.learn([])  # not what the members say of themselves
            yield opened
    finally:
        await client.close()


@pytest.fixture
async def other(one_etcd: Etcd, root: str) -> AsyncIterator[EtcdStore]:
    """Another head's store."""
    client = one_etcd.client()
    try:
        async with EtcdStore.open(client, B, SystemClock(), root=root) as opened:
            yield opened
    finally:
        await client.close()


async def test_a_commit_whose_answer_was_lost_is_found_done(store: EtcdStore, relay: Relay) -> None:
    relay.lose = 1
    revision = await store.commit(Put(Kind.IMAGE, A, {"v": 1}, "x", expect=ABSENT))
    assert relay.passed == 2
    record = await store.get(Kind.IMAGE, A)
    assert record is not None
    assert record.revision == revision


async def test_a_delete_whose_answer_was_lost_is_found_done(store: EtcdStore, relay: Relay) -> None:
    await store.commit(Put(Kind.IMAGE, A, {}, "x"))
    relay.lose = 1
    await store.commit(Delete(Kind.IMAGE, A))
    assert await store.get(Kind.IMAGE, A) is None


async def test_it_is_found_done_also_when_another_head_has_changed_the_record_since(
    store: EtcdStore, other: EtcdStore, relay: Relay
) -> None:
    first = await store.commit(Put(Kind.IMAGE, A, {"v": 0}))
    relay.lose = 1
    async with asyncio.TaskGroup() as group:
        mine = group.create_task(store.commit(Put(Kind.IMAGE, A, {"v": 1}, expect=first)))
        await wait_for(lambda: relay.passed == 2)
        theirs = await other.commit(Put(Kind.IMAGE, A, {"v": 2}))
    assert first < mine.result() < theirs
    record = await store.get(Kind.IMAGE, A)
    assert record is not None
    assert record.body == {"v": 2}


async def test_a_commit_that_was_held_up_does_not_happen_after_it_was_done_at_the_second_try(
    store: EtcdStore, relay: Relay
) -> None:
    relay.hold = 1
    await store.commit(Put(Kind.IMAGE, A, {"v": 1}))
    last = await store.commit(Put(Kind.IMAGE, A, {"v": 2}))
    relay.release.set()
    assert b"succeeded" not in await relay.late[0]
    record = await store.get(Kind.IMAGE, A)
    assert record is not None
    assert (record.revision, record.body) == (last, {"v": 2})


async def test_a_commit_that_was_refused_cannot_happen_later(store: EtcdStore, other: EtcdStore, relay: Relay) -> None:
    relay.hold = 1
    async with asyncio.TaskGroup() as group:
        mine = group.create_task(_outcome(store, Put(Kind.IMAGE, A, {"v": 1}, expect=ABSENT)))
        await wait_for(lambda: relay.late)
        await other.commit(Put(Kind.IMAGE, A, {"v": 2}))
    assert isinstance(mine.result(), Conflict)
    await other.commit(Delete(Kind.IMAGE, A))  # now it would be possible again
    relay.release.set()
    assert b"succeeded" not in await relay.late[0]
    assert await other.get(Kind.IMAGE, A) is None


async def test_a_commit_that_fills_etcd_is_found_done_although_etcd_says_that_it_has_no_space(
    store: EtcdStore, relay: Relay
) -> None:
    relay.full = {1}
    revision = await store.commit(Put(Kind.IMAGE, A, {"v": 1}, expect=ABSENT))
    record = await store.get(Kind.IMAGE, A)
    assert record is not None
    assert (record.revision, record.body) == (revision, {"v": 1})


async def test_a_commit_that_a_full_etcd_does_not_make_is_refused_for_certain(store: EtcdStore, relay: Relay) -> None:
    relay.closed = True
    with pytest.raises(Unavailable, match=r"quota and takes no more writes: clean the database$") as refused:
        await store.commit(Put(Kind.IMAGE, A, {}))
    assert refused.value.code == "no-space"


async def test_a_refusal_for_want_of_space_is_in_doubt_while_an_earlier_try_has_no_answer(
    store: EtcdStore, relay: Relay
) -> None:
    relay.hold = 1
    async with asyncio.TaskGroup() as group:
        mine = group.create_task(_outcome(store, Put(Kind.IMAGE, A, {"v": 1})))
        await wait_for(lambda: relay.late)
        relay.closed = True
    refused = mine.result()
    assert isinstance(refused, Unavailable)
    assert (refused.code, "not known" in refused.reason) == ("no-space", True)
    relay.release.set()
    assert b"succeeded" in await relay.late[0]  # etcd was cleaned meanwhile


async def test_without_any_answer_it_is_said_that_the_outcome_is_not_known(store: EtcdStore, relay: Relay) -> None:
    relay.hold = 100
    with pytest.raises(Unavailable, match="not known") as refused:
        await store.commit(Put(Kind.IMAGE, A, {}))
    assert refused.value.code == "no-quorum"
    relay.hold = 0
    await store.commit(Put(Kind.IMAGE, B, {}))
    assert await store.get(Kind.IMAGE, A) is None


async def test_a_cancelled_commit_holds_up_no_other(store: EtcdStore, relay: Relay) -> None:
    relay.hold = 1
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await store.commit(Put(Kind.IMAGE, A, {"v": 1}))
    relay.release.set()
    await relay.late[0]
    revision = await store.commit(Put(Kind.IMAGE, B, {}))
    found = await store.get(Kind.IMAGE, A)
    assert found is not None  # it was on its way
    assert found.revision < revision


async def test_a_commit_on_what_another_head_has_just_changed_is_refused_and_read_again(
    store: EtcdStore, other: EtcdStore
) -> None:
    revision = await store.commit(Put(Kind.IMAGE, A, {"v": 0}))
    await other.commit(Put(Kind.IMAGE, A, {"v": 1}))
    with pytest.raises(Stale):
        await store.commit(Put(Kind.IMAGE, A, {"v": 2}, expect=revision))
    record = await store.get(Kind.IMAGE, A)
    assert record is not None
    assert record.body == {"v": 1}


async def test_two_heads_that_race_for_a_name_have_one_winner(store: EtcdStore, other: EtcdStore) -> None:
    for n in range(10):
        outcomes = await asyncio.gather(
            _outcome(store, Put(Kind.IMAGE, f"{n:032}", {}, f"n{n}")),
            _outcome(other, Put(Kind.IMAGE, f"{n + 50:032}", {}, f"n{n}")),
        )
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Conflict", "int"]


async def _outcome(store: EtcdStore, put: Put) -> int | Exception:
    try:
        return await store.commit(put)
    except (Conflict, Unavailable) as err:
        return err


async def test_what_is_read_after_a_commit_that_the_watch_does_not_bring_is_marked_old_at_once(
    store: EtcdStore, relay: Relay
) -> None:
    lock = await Locks(store, A, SystemClock(), lambda _uid: False).acquire("housekeeping", "remove unused files")
    relay.mute = True
    with pytest.raises(Unavailable, match="does not reach this head"):
        await lock.renew()  # committed, and whoever reads now may miss what others refer to
    assert store.age is not None
    relay.mute = False
    await wait_for(lambda: store.age is None)

"""Who is in the cluster, and this head's own place in it."""

from __future__ import annotations

from functools import partial

import pytest
from msgspec import to_builtins
from typing_extensions import override

from agent.errors import Unavailable
from agent.heads.registry import HeadRegistry
from agent.model import MOST, Departure, Head, Kind, Tombstone
from agent.ports import Change, Delete, Put
from tests.support.clock import StillClock
from tests.support.logs import log_lines
from tests.support.memory_store import MemoryStore
from tests.support.people import ME, PEER, SOME_KEY

OWN = Head(ssh_public=SOME_KEY, description="me", addresses=("10.0.0.1",), version="1")


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def registry(store: MemoryStore) -> HeadRegistry:
    return HeadRegistry(store, ME, StillClock())


async def test_there_are_no_members_before_they_were_read(registry: HeadRegistry) -> None:
    with pytest.raises(Unavailable):
        _ = registry.members


async def test_the_first_start_makes_the_cluster_and_this_heads_record(registry: HeadRegistry) -> None:
    await registry.ensure_self(OWN)
    members = registry.members
    assert len(members.cluster) == 32
    assert members.self_uid == ME
    assert list(members.heads) == [ME]
    assert members.heads[ME].addresses == ("10.0.0.1",)
    assert members.heads[ME].joined == "2030-05-01T12:00:00.000Z"
    assert members.tombstones == {}


async def test_the_cluster_keeps_its_id(registry: HeadRegistry, store: MemoryStore) -> None:
    cluster = await registry.ensure_cluster()
    assert await registry.ensure_cluster() == cluster
    assert await HeadRegistry(store, PEER, StillClock()).ensure_cluster() == cluster


async def test_a_later_start_keeps_what_operators_wrote(registry: HeadRegistry, store: MemoryStore) -> None:
    stored = {"ssh_public": "old", "description": "theirs", "joined": "then", "generation": 4, "novel": [1]}
    await store.commit(Put(Kind.HEAD, ME, stored))
    await registry.ensure_self(OWN)
    record = await store.get(Kind.HEAD, ME)
    assert record is not None
    assert record.body == {
        **stored,
        "ssh_public": SOME_KEY,
        "addresses": ["10.0.0.1"],
        "edition": 1,
        "version": "1",
    }


async def test_a_start_that_changes_nothing_writes_nothing(registry: HeadRegistry, store: MemoryStore) -> None:
    await registry.ensure_self(OWN)
    before, members = store.revision, registry.members
    await registry.ensure_self(OWN)
    assert store.revision == before
    assert registry.members is members


async def test_a_change_of_this_heads_key_is_told_apart(registry: HeadRegistry, store: MemoryStore) -> None:
    await store.commit(Put(Kind.HEAD, ME, {"ssh_public": "ssh-ed25519 AAAA"}))
    with log_lines() as logs:
        await registry.ensure_self(OWN)
    assert [line["fields"] for line in logs if line["event"] == "Head key changed"] == [["ssh_public"]]


async def test_a_head_that_was_removed_does_not_come_back_by_itself(registry: HeadRegistry, store: MemoryStore) -> None:
    grave = Tombstone(Departure.REMOVED, "2030-01-01T00:00:00.000Z", 1)
    await store.commit(Put(Kind.TOMBSTONE, ME, to_builtins(grave)))
    with log_lines() as logs:
        await registry.ensure_self(OWN)
        await registry.reconcile()
    assert registry.members.heads == {}
    assert registry.members.tombstones == {ME: grave}
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["Head no longer in its cluster"]


async def test_a_head_that_is_out_of_its_cluster_says_so_and_how_it_comes_back(
    registry: HeadRegistry, store: MemoryStore
) -> None:
    assert registry.problem is None
    await registry.ensure_self(OWN)
    assert registry.problem is None
    await registry.learn_departure(Departure.REMOVED, 1)
    assert "was removed from its cluster" in str(registry.problem)
    assert "token --join" in str(registry.problem)
    await store.commit(Put(Kind.HEAD, ME, {"ssh_public": SOME_KEY, "generation": 2}))
    await registry.load()
    assert registry.problem is None


@pytest.mark.parametrize(("told", "belongs"), [(0, True), (1, False), (2, False), (3, True), (MOST, True)])
async def test_a_departure_of_a_generation_that_it_never_had_is_ignored(
    registry: HeadRegistry, store: MemoryStore, told: int, *, belongs: bool
) -> None:
    await registry.ensure_self(OWN)
    await registry.learn_departure(Departure.REMOVED, told)
    assert registry.belongs is belongs
    grave = await store.get(Kind.TOMBSTONE, ME)
    assert (grave is None) is belongs
    await registry.learn_departure(Departure.REMOVED, 1)
    assert not registry.belongs
    await store.commit(Put(Kind.HEAD, ME, {"ssh_public": SOME_KEY, "generation": 3}))
    await registry.load()
    assert registry.belongs


class ElsewhereToo(MemoryStore):
    """A store in which this head's record is written by somebody else just before it is written here."""

    rivals = 1

    @override
    async def commit(self, *changes: Change) -> int:
        if self.rivals and any(isinstance(change, Put) and change.kind is Kind.HEAD for change in changes):
            self.rivals -= 1
            await super().commit(Put(Kind.HEAD, ME, {"ssh_public": SOME_KEY, "description": "theirs"}))
        return await super().commit(*changes)


async def test_a_record_that_is_written_by_two_at_once_is_no_failure() -> None:
    registry = HeadRegistry(ElsewhereToo(), ME, StillClock())
    await registry.ensure_self(OWN)
    assert registry.members.heads[ME].description == "theirs"
    assert registry.members.heads[ME].addresses == OWN.addresses


async def test_an_engine_that_was_begun_later_stands_in_this_heads_record(
    registry: HeadRegistry, store: MemoryStore
) -> None:
    await registry.ensure_self(OWN)
    registry.engine_url = partial(str, "https://10.0.0.1:52392")
    await registry.reconcile()
    assert registry.members.heads[ME].peer_url == "https://10.0.0.1:52392"
    revision = store.revision
    await registry.reconcile()
    assert store.revision == revision


async def test_what_others_write_is_told_and_taken_over(registry: HeadRegistry, store: MemoryStore) -> None:
    await registry.ensure_self(OWN)
    registry.changed.clear()
    await store.commit(Put(Kind.IMAGE, PEER, {}))
    assert not registry.changed.is_set()
    before = registry.members.revision
    await store.commit(Put(Kind.HEAD, PEER, {"ssh_public": SOME_KEY}))
    assert registry.changed.is_set()
    await registry.reconcile()
    assert PEER in registry.members.heads
    assert registry.members.revision > before


async def test_a_lost_record_of_this_head_is_made_again(registry: HeadRegistry, store: MemoryStore) -> None:
    await registry.ensure_self(OWN)
    await store.commit(Delete(Kind.HEAD, ME))
    await registry.reconcile()
    assert ME in registry.members.heads


async def test_while_the_store_is_away_nobody_is_a_member(registry: HeadRegistry, store: MemoryStore) -> None:
    await registry.ensure_self(OWN)
    store.problem = "gone"
    with pytest.raises(Unavailable):
        await registry.reconcile()
    with pytest.raises(Unavailable, match="gone"):
        _ = registry.members
    store.problem = None
    await registry.reconcile()
    assert ME in registry.members.heads


async def test_what_could_not_be_written_at_the_start_is_written_later(
    registry: HeadRegistry, store: MemoryStore
) -> None:
    store.problem = "not yet"
    with pytest.raises(Unavailable):
        await registry.ensure_self(OWN)
    store.problem = None
    await registry.reconcile()
    assert registry.members.heads[ME].version == "1"


async def test_a_record_that_cannot_be_read_makes_no_member(registry: HeadRegistry, store: MemoryStore) -> None:
    await store.commit(Put(Kind.HEAD, PEER, {"ssh_public": 5}), Put(Kind.TOMBSTONE, PEER, {"departure": "eaten"}))
    await registry.ensure_self(OWN)
    assert list(registry.members.heads) == [ME]
    assert registry.members.tombstones == {}


async def test_a_head_whose_tombstone_has_expired_does_not_come_back_to_a_shared_database(
    registry: HeadRegistry, store: MemoryStore
) -> None:
    registry.shared = lambda: True
    await store.commit(Put(Kind.HEAD, PEER, {"ssh_public": SOME_KEY}))

    with log_lines() as lines:
        await registry.ensure_self(OWN)
        await registry.reconcile()

    assert await store.get(Kind.HEAD, ME) is None
    assert not registry.belongs
    assert "join again" in str(registry.problem)
    assert [line["event"] for line in lines].count("Head no longer in its cluster") == 1

"""How a head's list comes to be the same as the others'."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from agent.config import Config, Live
from agent.errors import Conflict
from agent.heads.gossip import MOST_LISTED, Gossip
from agent.heads.registry import HeadRegistry
from agent.heads.roster import Entry
from agent.model import MOST, Departure, Head, Kind
from agent.ports import Put
from tests.support.clock import StillClock
from tests.support.logs import log_lines
from tests.support.memory_store import MemoryStore
from tests.support.peers import MemoryPeers, answers
from tests.support.people import CLUSTER, ME, OTHER, PEER, SOME_KEY
from tests.support.waiting import wait_for

AT = "2030-04-30T12:00:00.000Z"
RECORD = {"ssh_public": SOME_KEY}


def listing(heads: dict[str, Any], tombstones: dict[str, Any] | None = None, cluster: str = CLUSTER) -> Any:
    """What GET /head/roster answers."""
    return {"cluster": cluster, "heads": heads, "tombstones": tombstones or {}}


def gone(generation: int = 1, at: str = AT) -> dict[str, Any]:
    """A tombstone's body."""
    return {"departure": "removed", "at": at, "generation": generation}


class Room:
    """A head with its list, and the other heads' agents in memory."""

    def __init__(self) -> None:
        self.store, self.clock, self.peers, self.engine = MemoryStore(), StillClock(), MemoryPeers(), "sqlite"
        self.registry = HeadRegistry(self.store, ME, self.clock)
        self.gossip = Gossip(Live(Config()), self.store, self.registry, self.peers, self.clock, lambda: self.engine)

    async def start(self) -> None:
        await self.store.commit(Put(Kind.CLUSTER, "cluster", {"id": CLUSTER}), Put(Kind.HEAD, PEER, RECORD))
        await self.registry.ensure_self(Head(SOME_KEY))

    def tells(self, uid: str, *told: Any, **known: Any) -> None:
        """What another head answers when it is asked for its list."""
        self.peers.heads[uid] = answers(listing(*told, **known))

    @property
    def asked(self) -> list[tuple[str, str]]:
        """Who was asked, and for what."""
        return [(asked.uid, asked.path) for asked in self.peers.asked]

    def has_asked(self, uid: str, times: int) -> bool:
        """Whether a head was asked for its list so many times."""
        return self.asked.count((uid, "/head/roster")) == times


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    made = Room()
    await made.start()
    task = asyncio.get_running_loop().create_task(made.gossip.run())
    yield made
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_head_that_says_something_else_is_asked_and_what_is_newer_is_taken_over(room: Room) -> None:
    room.tells(PEER, {PEER: {**RECORD, "edition": 1, "description": "x"}, OTHER: RECORD})
    with log_lines() as lines:
        room.gossip.compare(PEER, "another")
        await wait_for(lambda: OTHER in room.registry.members.heads)
    assert room.asked == [(PEER, "/head/roster")]
    assert room.registry.members.heads[PEER].description == "x"
    assert {"event": "List of heads merged", "peer": PEER, "changed": [PEER, OTHER], "log_level": "info"} in lines


async def test_a_head_that_says_the_same_is_not_asked(room: Room) -> None:
    room.gossip.compare(PEER, room.gossip.digest)
    room.gossip.compare(PEER, "")
    room.tells(PEER, {OTHER: RECORD})
    room.gossip.compare(PEER, "another")
    await wait_for(lambda: OTHER in room.registry.members.heads)
    assert len(room.asked) == 1


async def test_a_head_that_knows_less_is_asked_once_and_not_with_every_beat(room: Room) -> None:
    room.tells(PEER, {})
    room.gossip.compare(PEER, "less")
    await wait_for(lambda: room.asked)
    room.tells(OTHER, {OTHER: RECORD})
    for _ in range(3):
        room.gossip.compare(PEER, "less")
    room.gossip.compare(OTHER, "more")
    await wait_for(lambda: OTHER in room.registry.members.heads)
    assert [uid for uid, _ in room.asked] == [PEER, OTHER]


async def test_a_head_that_could_not_be_asked_is_asked_again_with_a_later_beat(room: Room) -> None:
    room.peers.away[PEER] = "asleep"
    room.gossip.compare(PEER, "another")
    await wait_for(lambda: room.asked)
    del room.peers.away[PEER]
    room.tells(PEER, {OTHER: RECORD})
    room.clock.move(1)
    room.gossip.compare(PEER, "another")
    await wait_for(lambda: OTHER in room.registry.members.heads)


async def test_a_head_whose_lists_are_none_is_asked_less_and_less_often(room: Room) -> None:
    room.peers.heads[PEER] = answers({"cluster": 7})
    room.tells(OTHER, {})
    for second in range(10):
        room.gossip.compare(OTHER, f"good {second}")
        room.gossip.compare(PEER, f"another {second}")  # the last is asked first
        await wait_for(partial(room.has_asked, OTHER, second + 1))
        room.clock.move(1)
    assert room.has_asked(PEER, 6)


async def test_a_removed_head_that_is_back_by_anothers_word_is_told_of(room: Room) -> None:
    back = {PEER: Entry(gone=False, body={**RECORD, "generation": 2})}
    with log_lines() as lines:
        await room.gossip.merge({OTHER: Entry(gone=False, body=RECORD)}, CLUSTER)
        await room.gossip.merge({PEER: Entry(gone=True, body=gone())}, CLUSTER)
        assert not [line for line in lines if line["log_level"] == "warning"]
        await room.gossip.merge(back, CLUSTER)
        await room.gossip.merge(back, CLUSTER)
    told = [(line["event"], line["head_uid"]) for line in lines if line["log_level"] == "warning"]
    assert told == [("Removed head is a member again", PEER)]


async def test_a_list_of_another_cluster_is_not_taken_over(room: Room) -> None:
    room.tells(PEER, {OTHER: RECORD}, cluster="d" * 32)
    with log_lines() as lines:
        room.gossip.compare(PEER, "another")
        await wait_for(lambda: any(line["event"] == "List of heads is another cluster's" for line in lines))
    assert OTHER not in room.registry.members.heads


async def test_a_shared_engine_leaves_nothing_to_compare(room: Room) -> None:
    room.engine = "etcd"
    assert room.gossip.digest == ""
    room.gossip.compare(PEER, "another")
    room.engine = "sqlite"
    room.tells(OTHER, {})
    room.gossip.compare(OTHER, "another")
    await wait_for(lambda: room.asked)
    assert room.asked == [(OTHER, "/head/roster")]


async def test_a_removal_is_learned_and_an_old_record_does_not_undo_it(room: Room) -> None:
    room.tells(OTHER, {}, {PEER: gone()})
    room.gossip.compare(OTHER, "without the peer")
    await wait_for(lambda: PEER in room.registry.members.tombstones)
    assert PEER not in room.registry.members.heads
    assert await room.gossip.merge({PEER: Entry(gone=False, body={**RECORD, "edition": 9})}, CLUSTER) == []
    assert await room.gossip.merge({PEER: Entry(gone=False, body={**RECORD, "generation": 2})}, CLUSTER) == [PEER]
    assert PEER in room.registry.members.heads
    assert PEER not in room.registry.members.tombstones


@pytest.mark.parametrize("entry", [Entry(gone=False, body=RECORD), Entry(gone=True, body=gone())])
async def test_no_head_has_another_take_over_more_heads_than_there_can_be(room: Room, entry: Entry) -> None:
    with pytest.raises(Conflict):
        await room.gossip.merge({f"{number:032d}": entry for number in range(MOST_LISTED)}, CLUSTER)
    assert set(room.registry.members.heads) == {ME, PEER}
    assert room.registry.members.tombstones == {}


async def test_a_record_of_ones_own_at_its_last_edition_is_put_right_all_the_same(room: Room) -> None:
    await room.gossip.merge({ME: Entry(gone=False, body={**RECORD, "description": "x", "edition": MOST})}, CLUSTER)
    await room.registry.ensure_self(Head(SOME_KEY, url="https://192.0.2.1:52390"))
    assert room.registry.members.heads[ME].edition == MOST
    assert room.registry.members.heads[ME].url == "https://192.0.2.1:52390"


async def test_a_removal_of_a_generation_without_end_leaves_a_way_back(room: Room) -> None:
    room.tells(OTHER, {}, {PEER: gone(MOST)})
    room.gossip.compare(OTHER, "poisoned")
    await wait_for(lambda: PEER in room.registry.members.tombstones)
    assert room.registry.members.tombstones[PEER].generation == 2


async def test_a_tombstone_that_is_to_be_forgotten_is_not_learned_anew(room: Room) -> None:
    assert await room.gossip.merge({OTHER: Entry(gone=True, body=gone(at="2030-03-01T00:00:00.000Z"))}, CLUSTER) == []
    assert await room.gossip.merge({OTHER: Entry(gone=True, body=gone())}, CLUSTER) == [OTHER]


async def test_a_head_that_learns_of_its_own_removal_says_so_and_stays_out(room: Room) -> None:
    with log_lines() as lines:
        await room.gossip.merge({ME: Entry(gone=True, body=gone())}, CLUSTER)
        await room.registry.reconcile()
        await room.registry.reconcile()
    assert [line["event"] for line in lines if line["log_level"] == "error"] == ["Head no longer in its cluster"]
    assert not room.registry.belongs
    assert ME not in room.registry.members.heads
    await room.gossip.merge({ME: Entry(gone=False, body={**RECORD, "generation": 2})}, CLUSTER)
    assert room.registry.belongs


async def test_a_refusal_tells_a_head_that_it_is_gone_unless_it_has_joined_again_since(room: Room) -> None:
    await room.gossip.merge({ME: Entry(gone=False, body={**RECORD, "generation": 3})}, CLUSTER)
    await room.registry.learn_departure(Departure.REMOVED, 2)
    assert room.registry.belongs
    with log_lines() as lines:
        for _ in range(2):
            await room.registry.learn_departure(Departure.REMOVED, 3)
            await room.registry.reconcile()
    assert [line["event"] for line in lines if line["log_level"] == "error"] == ["Head no longer in its cluster"]
    assert not room.registry.belongs
    assert room.registry.members.tombstones[ME].generation == 3

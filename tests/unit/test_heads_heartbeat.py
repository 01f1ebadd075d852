"""Whom a head beats to, and when."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from typing_extensions import override

from agent.config import Config, Live
from agent.config.sections import Heartbeat as HeartbeatSection
from agent.errors import Denied, Unavailable
from agent.heads.beat import Beat, decode
from agent.heads.detector import Detector
from agent.heads.gossip import Gossip
from agent.heads.heartbeat import Heartbeat
from agent.heads.registry import HeadRegistry
from agent.loops import Loops
from agent.model import Head, Kind
from agent.ports import CHANGED, Delete, Put
from tests.support.clock import StillClock
from tests.support.logs import log_lines
from tests.support.memory_store import MemoryStore
from tests.support.peers import MemoryPeers, answers
from tests.support.people import ME, OTHER, PEER, SOME_KEY
from tests.support.waiting import wait_for


class RefusingPeers(MemoryPeers):
    """Peers of whom some say that this head is gone."""

    def __init__(self) -> None:
        super().__init__()
        self.refusing: dict[str, Denied] = {}
        self.changed: set[str] = set()
        self.stray = False
        """Whether a link ends as if whoever holds it had been cancelled."""
        self.links = 0

    @override
    @asynccontextmanager
    async def link(self, uid: str) -> AsyncIterator[Callable[[bytes], Awaitable[None]]]:
        """Refuses where the test says so."""
        self.links += 1
        if self.stray:
            raise asyncio.CancelledError
        if uid in self.refusing:
            raise self.refusing[uid]
        async with super().link(uid) as send:

            async def put(frame: bytes) -> None:
                if uid in self.changed:
                    self.changed.remove(uid)
                    raise Unavailable("another certificate", code=CHANGED)
                await send(frame)

            yield put


class Room:
    """A head that beats every hundredth of a second."""

    def __init__(self) -> None:
        self.live = live = Live(Config(heartbeat=HeartbeatSection(interval=0.01)))
        self.loops = Loops()
        self.store, self.peers, self.clock = MemoryStore(), RefusingPeers(), StillClock()
        clock = self.clock
        self.registry = HeadRegistry(self.store, ME, clock)
        self.detector = Detector(lambda: self.registry.members, ME, live, clock)
        gossip = Gossip(live, self.store, self.registry, self.peers, clock, lambda: "sqlite")
        self.heartbeat = Heartbeat(live, self.registry, self.peers, self.detector, gossip, self.loops, clock)

    async def know(self, *uids: str) -> None:
        """Have other heads be members."""
        for uid in uids:
            self.peers.heads.setdefault(uid, answers())
            await self.store.commit(Put(Kind.HEAD, uid, {"ssh_public": SOME_KEY}))
        await self.registry.load()

    async def forget(self, uid: str) -> None:
        """Have one be a member no more."""
        await self.store.commit(Delete(Kind.HEAD, uid))
        await self.registry.load()

    def beats(self, uid: str) -> list[Beat]:
        """What a head was sent."""
        return [decode(frame) for frame in self.peers.frames.get(uid, [])]


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    made = Room()
    await made.registry.ensure_self(Head(SOME_KEY))
    task = asyncio.get_running_loop().create_task(made.heartbeat.run())
    yield made
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_every_other_member_is_told_and_all_the_same(room: Room) -> None:
    await room.know(PEER, OTHER)
    await wait_for(lambda: min(len(room.beats(uid)) for uid in (PEER, OTHER)) > 5)
    together = set(room.peers.frames[PEER]) & set(room.peers.frames[OTHER])
    assert len(together) > 3  # one encoding for all
    assert ME not in room.peers.frames
    assert {beat.head for beat in room.beats(PEER)} == {ME}
    assert {beat.roster for beat in room.beats(PEER)[-3:]} == {room.registry.members.digest}


async def test_a_longer_interval_after_a_reload_is_no_loop_that_is_stuck(room: Room) -> None:
    room.live.config = Config(heartbeat=HeartbeatSection(interval=50.0, suspect=150.0, timeout=250.0))
    (loop,) = room.loops.all
    await wait_for(lambda: loop.interval == 50.0)
    assert room.loops.stuck(loop.turned + 100.0) == []
    assert room.loops.stuck(loop.turned + 151.0) == ["heartbeat"]


async def test_a_new_member_is_told_and_one_that_is_gone_is_not(room: Room) -> None:
    await room.know(PEER)
    await wait_for(lambda: room.beats(PEER))
    await room.know(OTHER)
    await wait_for(lambda: room.beats(OTHER))
    await room.forget(PEER)
    count, others = len(room.beats(PEER)), len(room.beats(OTHER))
    await wait_for(lambda: len(room.beats(OTHER)) > others + 5)
    assert len(room.beats(PEER)) <= count + 1


async def test_a_head_that_cannot_be_reached_keeps_no_other_from_being_told(room: Room) -> None:
    room.peers.away[PEER] = "asleep"
    await room.know(PEER, OTHER)
    await wait_for(lambda: len(room.beats(OTHER)) > 5)
    del room.peers.away[PEER]
    await wait_for(lambda: room.beats(PEER))


async def test_a_broken_link_is_opened_again(room: Room) -> None:
    await room.know(PEER)
    await wait_for(lambda: room.beats(PEER))
    room.peers.away[PEER] = "rebooting"
    await wait_for(lambda: room.peers.links > 1)
    count = len(room.beats(PEER))
    del room.peers.away[PEER]
    await wait_for(lambda: len(room.beats(PEER)) > count)


async def test_the_farewell_is_the_last_beat(room: Room) -> None:
    await room.know(PEER, OTHER)
    await wait_for(lambda: room.beats(PEER) and room.beats(OTHER))
    await room.heartbeat.farewell()
    for uid in (PEER, OTHER):
        assert room.beats(uid)[-1].stopping
    count, links = len(room.beats(PEER)), room.peers.links
    await room.know("4fourth".ljust(32, "4"))
    await wait_for(lambda: room.peers.links > links)
    assert len(room.beats(PEER)) == count
    assert room.beats("4fourth".ljust(32, "4")) == []


async def test_a_head_that_is_told_that_it_was_removed_beats_no_more(room: Room) -> None:
    room.peers.refusing[PEER] = Denied("gone", code="removed", data={"generation": 1})
    await room.know(PEER, OTHER)
    await wait_for(lambda: not room.registry.belongs)
    await wait_for(lambda: room.registry.members.tombstones)
    links = room.peers.links
    await room.registry.reconcile()
    assert ME not in room.registry.members.heads
    for _ in range(50):
        await asyncio.sleep(0)
    assert room.peers.links == links


@pytest.mark.parametrize(
    "refusal",
    [
        Denied("not known", code="not-a-known-head"),
        Denied("old news", code="removed", data={"generation": 0}),
        Denied("odd", code="removed"),
    ],
)
async def test_any_other_refusal_is_no_removal(room: Room, refusal: Denied) -> None:
    room.peers.refusing[PEER] = refusal
    await room.know(PEER, OTHER)
    await wait_for(lambda: room.beats(OTHER))
    assert room.registry.belongs


def told(lines: list[MutableMapping[str, Any]]) -> list[tuple[str, str]]:
    """What stands in the journal at its usual level, but that work overran: the machine is busy then."""
    lines = [line for line in lines if line["event"] != "Periodic work overran its interval"]
    return [(line["event"], line["head_uid"]) for line in lines if line["log_level"] != "debug"]


async def test_a_head_that_is_away_for_a_moment_is_nothing_for_the_journal(room: Room) -> None:
    with log_lines() as lines:
        room.peers.away[PEER] = "rebooting"
        await room.know(PEER)
        await wait_for(lambda: room.peers.links > 2)
        del room.peers.away[PEER]
        await wait_for(lambda: room.beats(PEER))
    assert told(lines) == []


async def test_one_that_stays_away_is_told_once_with_what_to_do_and_so_is_its_return(room: Room) -> None:
    with log_lines() as lines:
        room.peers.away[PEER] = "rebooting"
        await room.know(PEER)
        await wait_for(lambda: room.peers.links)
        room.clock.move(6)
        links = room.peers.links
        await wait_for(lambda: room.peers.links > links + 2)
        room.peers.away[PEER] = "something else now"
        links = room.peers.links
        await wait_for(lambda: room.peers.links > links + 2)
        del room.peers.away[PEER]
        await wait_for(lambda: room.beats(PEER))
    assert told(lines) == [("Heartbeats do not reach a head", PEER), ("Heartbeats reach a head again", PEER)]
    assert "systemctl status" in next(line["todo"] for line in lines if "todo" in line)


async def test_a_link_that_rests_on_what_has_changed_is_opened_anew_without_a_word(room: Room) -> None:
    with log_lines() as lines:
        await room.know(PEER)
        await wait_for(lambda: room.beats(PEER))
        room.clock.move(1)
        links = room.peers.links
        room.peers.changed.add(PEER)
        await wait_for(lambda: room.peers.links > links)
    assert told(lines) == []


async def test_a_keeper_of_a_link_that_ends_though_nobody_stopped_it_ends_the_agent_and_not_only_the_beats() -> None:
    room = Room()
    await room.registry.ensure_self(Head(SOME_KEY))
    room.peers.stray = True
    await room.know(PEER)
    with pytest.raises(ExceptionGroup) as caught:
        await asyncio.create_task(room.heartbeat.run())
    assert [str(err) for err in caught.value.exceptions] == [
        "Heartbeat._keep ended as if cancelled, though nobody stopped it"
    ]

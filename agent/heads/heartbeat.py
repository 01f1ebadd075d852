"""The heartbeat: a link to each other head, over which this one tells every interval that it lives."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from typing import NoReturn

import structlog

from agent.config import Live
from agent.errors import AgentError, Denied, Unavailable
from agent.heads.beat import Beat, encode
from agent.heads.detector import Detector
from agent.heads.gossip import Gossip
from agent.heads.members import Members
from agent.heads.outage import Outage
from agent.heads.registry import HeadRegistry
from agent.histogram import Histogram
from agent.loops import Loops, lasting, periodic
from agent.model import Departure
from agent.ports import CHANGED, Clock, Peers

log = structlog.get_logger()

SOON, LATER = 0.2, 2.0
"""Seconds before a broken link is tried again: doubled from the one to the other, and jittered. An attempt or a link
that lasts longer than the greater has been pause enough."""
_REASONS = 1
"""Told of one time of trouble: the other head may say another with each refusal."""
_TODO = (
    "look there with `systemctl status clusterware-head-agent`; "
    "a head that is gone for good is removed with `cw-headctl heads evict`"
)

LAGS = (0.001, 0.005, 0.02, 0.1, 0.25, 1.0, 3.0)
"""Seconds that ticks which come late are counted by."""

Send = Callable[[bytes], Awaitable[None]]


class _Line:
    """An open link to one head; `broken` is done, with the reason, once it is not open any more."""

    def __init__(self, send: Send) -> None:
        self.broken: asyncio.Future[AgentError] = asyncio.get_running_loop().create_future()
        self._send = send

    async def put(self, frame: bytes) -> None:
        """Send a frame; a link that fails is broken."""
        try:
            await self._send(frame)
        except Unavailable as err:
            if not self.broken.done():
                self.broken.set_result(err)


class Heartbeat:
    """Beats to every other member, and hands what the others beat to the detector."""

    def __init__(
        self,
        live: Live,
        registry: HeadRegistry,
        peers: Peers,
        detector: Detector,
        gossip: Gossip,
        loops: Loops,
        clock: Clock,
    ) -> None:
        self._live = live
        self._registry = registry
        self._peers = peers
        self._detector = detector
        self._gossip = gossip
        self._clock = clock
        self._loop = loops.add("heartbeat", live.config.heartbeat.interval)
        self._lines: dict[str, _Line] = {}
        self._beat_now = asyncio.Event()
        self._members_changed = asyncio.Event()
        self._stopped = False
        self.lag = Histogram(LAGS)
        """How late the event loop came to each tick."""
        registry.follow(self._follow)

    @property
    def links(self) -> int:
        """How many links to other heads are open."""
        return len(self._lines)

    async def run(self) -> None:
        """Keep the links, beat, and have the detector judge; for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(lasting(periodic, self._loop, self._beat, wake=self._beat_now))
            group.create_task(lasting(self._tick))
            group.create_task(lasting(self._gossip.run))
            await self._keep_links(group)

    def heard(self, beat: Beat) -> None:
        """Take a beat, proved to be from the head that it names."""
        self._detector.heard(beat, self._clock.monotonic())
        try:
            self._gossip.compare(beat.head, beat.roster)
        except Unavailable:
            return  # while our own list cannot be read, there is nothing to compare

    async def farewell(self) -> None:
        """Tell every head that this one stops in order; nothing is sent after that."""
        self._stopped = True
        await self._send(self._detector.farewell())

    def _follow(self, _members: Members) -> None:
        """The members changed: change the links, and let the others know at once that our list is another one."""
        self._members_changed.set()
        self._beat_now.set()

    async def _tick(self) -> None:
        while True:
            self._detector.tick()
            due = self._clock.monotonic() + self._detector.pause
            await asyncio.sleep(self._detector.pause)
            self.lag.note(max(0.0, self._clock.monotonic() - due))

    async def _beat(self) -> None:
        self._loop.pace(self._live.config.heartbeat.interval)
        if self._lines and not self._stopped:
            await self._send(self._next_beat())

    def _next_beat(self) -> Beat:
        try:
            digest = self._gossip.digest
        except Unavailable:
            digest = ""  # a head whose database is away lives all the same
        return self._detector.next_beat(digest)

    async def _send(self, beat: Beat) -> None:
        frame = encode(beat)
        for line in list(self._lines.values()):
            await line.put(frame)

    async def _keep_links(self, group: asyncio.TaskGroup) -> None:
        """Have a task keep a link to each head that this one should beat to."""
        keepers: dict[str, asyncio.Task[NoReturn]] = {}
        while True:
            self._members_changed.clear()
            wanted = self._wanted()
            for uid in keepers.keys() - wanted:
                keepers.pop(uid).cancel()
            for uid in wanted - keepers.keys():
                keepers[uid] = group.create_task(lasting(self._keep, uid))
            await self._members_changed.wait()

    def _wanted(self) -> set[str]:
        """The heads to beat to: all others, and none at all once this head is out of the cluster."""
        try:
            members = self._registry.members
            return set(members.heads) - {members.self_uid} if self._registry.belongs else set()
        except Unavailable:
            return set()  # before the first reading there are none; later ones are told to `_follow`

    async def _keep(self, uid: str) -> None:
        """Keep a link to one head: connect again whenever it breaks."""
        outage, pause = Outage(self._clock.monotonic(), _REASONS), SOON
        while True:
            began, heartbeat = self._clock.monotonic(), self._live.config.heartbeat
            failed, held = await self._hold(uid, outage)
            now = self._clock.monotonic()
            if held > heartbeat.interval:
                outage = Outage(now, _REASONS)
            if now - began > LATER:
                pause = SOON
            if failed.code != CHANGED and outage.worth_telling(failed.reason, now, heartbeat.timeout):
                log.warning("Heartbeats do not reach a head", head_uid=uid, reason=failed.reason, todo=_TODO)
            else:
                log.debug("Heartbeat link not open", head_uid=uid, reason=failed.reason)
            if failed.code != CHANGED or held <= heartbeat.interval:
                await asyncio.sleep(pause * random.uniform(0.5, 1))
                pause = min(2 * pause, LATER)

    async def _hold(self, uid: str, outage: Outage) -> tuple[AgentError, float]:
        """Open a link and beat over it until it breaks; gives why it did or did not open, and how long it was open."""
        opened, now = None, self._clock.monotonic
        try:
            async with self._peers.link(uid) as send:
                opened = now()
                failed = await self._beat_over(uid, _Line(send), outage)
        except AgentError as err:
            failed = err
            if isinstance(err, Denied):
                await self._refused(err)
        return failed, now() - opened if opened is not None else 0.0

    async def _beat_over(self, uid: str, line: _Line, outage: Outage) -> AgentError:
        """Beat over an open link until it breaks, from now on; gives why it did."""
        self._lines[uid] = line
        if outage.end():
            log.info(
                "Heartbeats reach a head again", head_uid=uid, after=round(self._clock.monotonic() - outage.began, 1)
            )
        else:
            log.debug("Heartbeats reach a head", head_uid=uid)
        try:
            if not self._stopped:
                await line.put(encode(self._next_beat()))
            return await line.broken
        finally:
            if self._lines.get(uid) is line:
                del self._lines[uid]

    async def _refused(self, refusal: Denied) -> None:
        """Another head does not take our beats: perhaps because this head is not in the cluster any more."""
        generation = refusal.data.get("generation") if isinstance(refusal.data, dict) else None
        if refusal.code in list(Departure) and isinstance(generation, int):
            with contextlib.suppress(AgentError):  # while the database is away: the next refusal says so again
                await self._registry.learn_departure(Departure(refusal.code), generation)
            self._members_changed.set()

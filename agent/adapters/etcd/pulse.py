"""Whether what the cache holds is the newest there is: asked of a quorum every second."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import structlog

from agent.adapters.etcd.cache import ALL, Cache
from agent.adapters.etcd.client import EtcdClient
from agent.adapters.etcd.cluster import Cluster
from agent.adapters.etcd.errors import Again
from agent.adapters.etcd.keys import Layout
from agent.adapters.etcd.watch import Follower
from agent.adapters.etcd.wire import Alarm, Body, Ranged, get
from agent.errors import AgentError, Unavailable
from agent.loops import Loops
from agent.model import Kind
from agent.ports import Clock

log = structlog.get_logger()

INTERVAL = 1.0
"""Seconds between two questions."""
RETRY = 0.2
"""Seconds between a question that was not answered and the next."""
FRESH = 4.0
"""Seconds for which an answer counts: a question every second, and the 2 to 3 that an election of a leader takes."""
PATIENCE = 2.0
"""Seconds within which one question must be answered by some member."""
LAG = 0.4
"""Seconds that the watch may be behind before it is begun again elsewhere."""
SURVEY = 30
"""Questions between two looks at the members and the alarms."""

_NEWEST: Body = {"sort_order": "DESCEND", "sort_target": "MOD", "keys_only": True}


class Pulse:
    """The proof that the store is alive, and what follows when it is not."""

    def __init__(
        self,
        client: EtcdClient,
        layout: Layout,
        cache: Cache,
        follower: Follower,
        clock: Clock,
        told: Callable[[frozenset[Kind]], None],
    ) -> None:
        self.alarms: tuple[Alarm, ...] = ()
        self.first = asyncio.Event()
        """Set once a quorum has answered."""
        self.failure: AgentError | None = None
        """Why the last question was not answered."""
        self.read_at: float | None = None
        """Monotonic second, perhaps before this process began, at which the copy from disk was the newest."""
        self._client = client
        self._layout = layout
        self._cache = cache
        self._follower = follower
        self._clock = clock
        self._told = told
        self._cluster = Cluster(client)
        self._confirmed: float | None = None
        self._behind = False
        self._away = True
        self._turns = 0
        self._looking = asyncio.Lock()

    @property
    def age(self) -> float | None:
        """Seconds since the cache was last known to be the newest, None while it is."""
        now = self._clock.monotonic()
        last = self._confirmed if self._confirmed is not None else self.read_at
        if last is None:
            return float(FRESH)
        age = max(0.0, now - last)
        return None if self._confirmed is not None and age <= FRESH and not self._behind else age

    @property
    def away(self) -> bool:
        """Whether there is no quorum."""
        return self.age is not None

    async def confirm(self) -> None:
        """Wait until the cache holds all that was committed before this call; raises NoQuorum, Unavailable."""
        asked = self._clock.monotonic()
        begin, end = self._layout.commits
        found = await self._client.call("kv/range", get(begin, end, limit=1) | _NEWEST, Ranged, deadline=PATIENCE)
        await self.reached(max((kv.mod_revision for kv in found.kvs), default=1))
        self._confirmed, self._behind = asked, False

    async def seen(self, revision: int) -> None:
        """As `reached`, for a change that is known to be made; without it, what the cache holds is old at once."""
        try:
            await self.reached(revision)
        except AgentError:
            self._behind = True
            self.survey_soon()

    async def reached(self, revision: int, seconds: float = PATIENCE) -> None:
        """Wait for the watch to bring what happened at `revision`; a member that does not send it is left."""
        ends = self._clock.monotonic() + seconds
        while self._cache.revision < revision:
            try:
                async with asyncio.timeout(LAG):
                    await self._cache.reached(revision)
            except TimeoutError:
                if self._clock.monotonic() >= ends:
                    raise Unavailable("the database's changes do not reach this head: its watch is behind") from None
                self._follower.move()

    async def run(self, loops: Loops) -> None:
        """Ask for ever; tell everybody when the quorum goes away or comes back."""
        loop = loops.add("etcd", INTERVAL)
        try:
            while True:
                failure = None
                try:
                    await self.confirm()
                    await self._survey()
                except AgentError as err:
                    failure = err
                self.failure = failure  # not before: until there is an answer the last failure is the reason
                self._notice()
                if not self.away:
                    self.first.set()
                loop.turn(self._clock.monotonic(), failure.reason if failure else None)
                await self._retry_failed()
                await asyncio.sleep(RETRY if failure else INTERVAL)
        finally:
            loops.all.remove(loop)

    def _notice(self) -> None:
        if self.away == self._away:
            return
        self._away = self.away
        if self._away:
            effect = "what was read last is answered, marked stale; changes are refused"
            reason = self.failure.reason if self.failure else None
            log.warning("Database has no quorum", reason=reason, effect=effect)
        else:
            log.info("Database confirmed by a quorum", revision=self._cache.newest)
        self._told(ALL)

    async def _survey(self) -> None:
        """Now and then: who the members are, and whether etcd has raised an alarm."""
        self._turns += 1
        if self._turns % SURVEY == 1:
            await self.survey()

    async def survey(self) -> None:
        """Look now; whoever asks for it knows afterwards. Raises Unavailable."""
        async with self._looking:  # what was answered earlier is not kept in the place of this
            await self._cluster.member_list()
            self.alarms = await self._cluster.alarms()

    def survey_soon(self) -> None:
        """Have the next turn look at members and alarms."""
        self._turns = 0

    async def _retry_failed(self) -> None:
        """Try a member that failed, so that nobody who waits has to; back to the preferred one when it is well."""
        for url in self._client.endpoints.due[:1]:  # one at a time: the next question must not wait for many
            with contextlib.suppress(Again, AgentError):
                await self._client.attempt(url, "kv/range", get(self._layout.current), Ranged)
        if self._follower.url not in (None, self._client.endpoints.best):
            self._follower.move()

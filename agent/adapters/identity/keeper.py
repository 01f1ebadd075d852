"""Keeps this head's certificate good while the agent runs: renewed in time, reissued when its addresses change."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import structlog

from agent.adapters.identity.checks import authorities
from agent.adapters.identity.files import IdentityFiles
from agent.heads.identity import Identity
from agent.loops import Loop, Loops, periodic
from agent.ports import Clock

log = structlog.get_logger()

INTERVAL = 60.0
"""Seconds between looks at the dates and addresses: nothing tells of a change in a sandbox without netlink. This head's
etcd goes over to a new address at once, and nobody believes it there before the certificate names that; a look takes a
millisecond."""
CA_WARNING = timedelta(days=180)
"""How long before the CA's own end people are told, and then once a day: it does not renew by itself."""


class IdentityKeeper:
    """Holds the identity in force; `on_change` hears of each new one, and is heard again until it succeeds."""

    def __init__(
        self,
        files: IdentityFiles,
        identity: Identity,
        clock: Clock,
        loops: Loops,
        on_change: Callable[[Identity], Awaitable[object]],
    ) -> None:
        self.identity = identity
        self._told = identity
        self._files = files
        self._clock = clock
        self._on_change = on_change
        self._turn = asyncio.Lock()
        self._warned: datetime | None = None
        self._loop: Loop = loops.add("certificate", INTERVAL)

    async def run(self) -> None:
        """Look every minute, for ever; a failure is warned about and tried again."""
        await periodic(self._loop, self.check)

    async def check(self) -> None:
        """Reissue if need be; raises Unavailable when the files cannot be read or written."""
        async with self._turn:
            await self._look()
            await self._tell()
        self._warn_of_the_end()

    async def exchange(self, work: Callable[[], object], *, quietly: bool = False) -> None:
        """Have `work` change the files, in a thread, and use what they are then; `quietly`: tell nobody yet."""
        async with self._turn:
            await asyncio.to_thread(work)
            await self._look()
            if not quietly:
                await self._tell()

    async def _look(self) -> None:
        fresh = await asyncio.to_thread(self._files.open, None, self._clock.now())
        if fresh != self.identity:
            self.identity = fresh

    async def _tell(self) -> None:
        fresh = self.identity
        if self._told != fresh:
            await self._on_change(fresh)
            self._told = fresh

    def _warn_of_the_end(self) -> None:
        now = self._clock.now()
        ends = authorities(self.identity.ca_pem)[0].not_valid_after_utc
        if ends - now > CA_WARNING or (self._warned is not None and now - self._warned < timedelta(days=1)):
            return
        self._warned = now
        todo = "exchange it with `cw-headctl ca rotate`: when it ends, the heads refuse each other"
        log.warning("Cluster CA is near its end", until=ends.isoformat(), todo=todo)

"""Keeps this head's certificate good while the agent runs: renewed in time, reissued when its addresses change."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from agent.adapters.identity.files import IdentityFiles
from agent.heads.identity import Identity
from agent.loops import Loop, Loops, periodic
from agent.ports import Clock

INTERVAL = 3600.0
"""Seconds between looks at the dates and addresses: nothing tells of a change in a sandbox without netlink."""


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
        self._loop: Loop = loops.add("certificate", INTERVAL)

    async def run(self) -> None:
        """Look every hour, for ever; a failure is warned about and tried again."""
        await periodic(self._loop, self.check)

    async def check(self) -> None:
        """Reissue if need be; raises Unavailable when the files cannot be read or written."""
        fresh = await asyncio.to_thread(self._files.open, None, self._clock.now())
        if fresh != self.identity:
            self.identity = fresh
        if self._told != fresh:
            await self._on_change(fresh)
            self._told = fresh

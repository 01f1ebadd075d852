"""The copy of all records on this head's disk: what an agent that starts without a quorum can still answer."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import structlog

from agent.adapters.etcd.cache import Cache
from agent.adapters.etcd.pulse import Pulse
from agent.adapters.sqlite import archive
from agent.errors import AgentError
from agent.ports import Clock

log = structlog.get_logger()

INTERVAL = 10.0
"""Seconds between two copies at least; more where writing one takes long."""
SHARE = 100
"""A copy is made at most once in so many times as long as it took."""


class LastingCopy:
    """One archive, replaced now and then; its modification time is when it was last known to be the newest."""

    def __init__(self, path: Path | None, cache: Cache, pulse: Pulse, clock: Clock) -> None:
        """Without a path there is no copy."""
        self._path = path
        self._cache = cache
        self._pulse = pulse
        self._clock = clock
        self._written = -1
        self._failure: str | None = None
        self._turn = asyncio.Lock()
        self._thread: asyncio.Future[None] | None = None
        """What writes, in a thread: it goes on there when whoever waits for it is cancelled."""

    async def load(self) -> None:
        """Fill the cache from the copy, where there is a sound one."""
        if self._path is None or not await asyncio.to_thread(self._path.exists):
            return
        try:
            copy = await asyncio.to_thread(archive.read, self._path)
            changed = (await asyncio.to_thread(self._path.stat)).st_mtime
        except (AgentError, OSError) as err:
            log.warning("Copy of the database not used", file=str(self._path), reason=str(err))
            return
        self._cache.fill(copy)
        self._pulse.read_at = self._clock.monotonic() - max(0.0, self._clock.now().timestamp() - changed)

    def size(self) -> int:
        """Bytes of the copy on the disk, 0 where there is none. Blocks."""
        with contextlib.suppress(OSError):
            return self._path.stat().st_size if self._path else 0
        return 0

    async def run(self) -> None:
        """Keep the copy up to date for ever, from when there is something to copy."""
        await self._pulse.first.wait()
        while True:
            began = self._clock.monotonic()
            await self.write()
            took = self._clock.monotonic() - began
            await asyncio.sleep(max(INTERVAL, SHARE * took))

    async def write(self) -> None:
        """Write the copy if anything has changed; a failure is told in the journal and nowhere else."""
        async with self._turn:
            if self._path is not None and self._cache.revision:
                await self._write(self._path)

    async def close(self) -> None:
        """Write the copy a last time; nothing touches it any more once this has ended, be it cancelled."""
        try:
            await self.write()
        finally:
            while self._thread is not None and not self._thread.done():
                with contextlib.suppress(asyncio.CancelledError):  # raised anew by the cancelled `write`
                    await asyncio.wait([self._thread])

    async def _write(self, path: Path) -> None:
        changes, fresh = self._cache.changes, not self._pulse.away
        try:
            if changes != self._written:
                await self._off_the_loop(partial(archive.replace, path, self._cache.rows(), self._cache.newest))
                self._written = changes
            elif fresh:
                await self._off_the_loop(partial(os.utime, path))
        except (AgentError, OSError) as err:
            self._written = -1
            if self._failure is None:
                todo = "until that is mended, a start without the database's quorum has old records, or none"
                log.warning("Copy of the database not written", file=str(path), reason=str(err), todo=todo)
            self._failure = str(err)
        else:
            self._failure = None

    async def _off_the_loop(self, work: Callable[[], None]) -> None:
        """Do it once what a cancelled write began has ended."""
        if self._thread is not None:
            await asyncio.wait([self._thread])
            self._thread.exception()  # whoever began it was not there any more to hear of it
        self._thread = asyncio.get_running_loop().run_in_executor(None, work)
        await asyncio.wait([self._thread])
        self._thread.result()

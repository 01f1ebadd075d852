"""The watch: a snapshot of every key at one revision, then one stream of what changed since."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import msgspec
import structlog

from agent.adapters.etcd.cache import ALL, Cache, Change
from agent.adapters.etcd.client import PAUSE, EtcdClient
from agent.adapters.etcd.errors import Again, Compacted, NoQuorum
from agent.adapters.etcd.keys import Current, Layout
from agent.adapters.etcd.wire import Body, Line, Ranged, Watched, get
from agent.errors import AgentError, Unavailable
from agent.model import Kind

log = structlog.get_logger()

PAGE = 100
"""Keys that are read at once when everything is listed, unless they are large: a record may have a MiB."""
FEW = 8
"""Keys that are read at once where no size is known yet, or where more of them did not come in time."""
_BYTES = 2**22
"""About so much is read at once: what takes longer than a second is never answered."""

_decode_line = msgspec.json.Decoder(Line, strict=False).decode


class _ListAgain(Exception):
    """What the cache holds cannot be continued by a watch."""


class Follower:
    """Keeps the cache up to date, from one member at a time.

    A member that hangs sends nothing and closes nothing, so others tell (`move`) when this one must be left.
    `told` is called after each change with the kinds that it touched.
    """

    def __init__(
        self, client: EtcdClient, layout: Layout, cache: Cache, told: Callable[[frozenset[Kind]], None]
    ) -> None:
        self.url: str | None = None
        """The member that is watched at this moment."""
        self._client = client
        self._layout = layout
        self._cache = cache
        self._told = told
        self._scope: asyncio.Timeout | None = None
        self._resumable = False
        client.on_failure = self._failed

    async def run(self) -> None:
        """Follow for ever; whatever breaks off is begun again, elsewhere where there is one."""
        while True:
            try:
                if not self._resumable:
                    await self._list()
                await self._watch()
            except (Compacted, _ListAgain):
                self._resumable = False
            except (Again, NoQuorum):
                await asyncio.sleep(PAUSE)
            except AgentError as err:
                log.warning("Database cannot be followed", reason=err.reason)
                await asyncio.sleep(20 * PAUSE)

    def move(self) -> None:
        """Leave the member that is watched now, and go on at the best one."""
        if self._scope is not None and not self._scope.expired():  # else it is being left already
            self._scope.reschedule(0.0)

    def _failed(self, url: str) -> None:
        """A call to a member failed; what hangs for calls hangs for the watch too."""
        if url == self.url and self._client.endpoints.trusted(self._client.endpoints.best):
            self.move()

    async def _list(self) -> None:
        """Read everything as of one revision into the cache."""
        found = await self._client.range(self._layout.current)
        try:
            current = msgspec.json.decode(found.kvs[0].value, type=Current) if found.kvs else Current()
        except msgspec.MsgspecError as err:
            where = self._layout.current.decode()
            raise Unavailable(f"{where} in etcd is not what this agent wrote: put its value back") from err
        at = found.kvs[0].mod_revision if found.kvs else 0
        revision = found.header.revision
        changes = [change async for change in self._pages(current.generation, revision)]
        self._cache.replace(current, at, changes, revision)
        self._resumable = True
        log.debug("Database listed", revision=revision, keys=len(changes))
        self._told(ALL)

    async def _pages(self, generation: str, revision: int) -> AsyncIterator[Change]:
        begin, end = self._layout.generation(generation)
        more, limit, most = True, FEW, PAGE
        while more:
            try:
                page: Ranged = await self._client.range(begin, end, revision=revision, limit=limit)
            except NoQuorum:
                if limit == FEW:
                    raise
                limit = most = FEW
                continue
            limit = max(FEW, min(most, len(page.kvs) * _BYTES // (sum(len(kv.value) for kv in page.kvs) or 1)))
            for kv in page.kvs:
                key = self._layout.parse(generation, kv.key)
                if key is not None:
                    yield Change(key, kv.value, kv.mod_revision)
            more = page.more
            if more:
                begin = page.kvs[-1].key + b"\0"

    async def _watch(self) -> None:
        """Follow one member until it breaks off; raises Again, _ListAgain, Compacted."""
        self.url = self._client.endpoints.best
        begin, end = self._layout.everything
        request: Body = {"create_request": get(begin, end, start_revision=str(self._cache.revision + 1))}
        try:
            async with asyncio.timeout(None) as self._scope:
                async with self._client.stream(self.url, "watch", request) as chunks:
                    async for line in lines(chunks):
                        self._take(self.url, line)
        except TimeoutError as err:
            raise Again("left for another member", sent=False) from err
        finally:
            self.url = self._scope = None

    def _take(self, url: str, line: bytes) -> None:
        try:
            message = _decode_line(line)
        except msgspec.MsgspecError as err:
            raise Again(f"{url}: a watch's message makes no sense", sent=False) from err
        if message.result is None:
            raise Again(f"{url}: the watch failed", sent=False)
        self._client.admit(url, message.result.header)
        if message.result.canceled or message.result.compact_revision:
            # The server leaves the connection open: leaving it is up to us.
            raise _ListAgain
        self._apply(message.result)

    def _apply(self, message: Watched) -> None:
        changes = list(self._changes(message))
        if message.events:
            # Not the header's revision: while a watch catches up that is ahead of what has been sent.
            touched = self._cache.apply(changes, message.events[-1].kv.mod_revision)
            if touched:
                self._told(touched)

    def _changes(self, message: Watched) -> Iterator[Change]:
        for event in message.events:
            if event.kv.key == self._layout.current:
                raise _ListAgain
            key = self._layout.parse(self._cache.current.generation, event.kv.key)
            if key is not None:
                yield Change(key, None if event.type == "DELETE" else event.kv.value, event.kv.mod_revision)


async def lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The lines of a stream of chunks, of whatever length; raises Again at its end."""
    begun: list[bytes] = []
    async for chunk in chunks:
        first, *others = chunk.split(b"\n")
        begun.append(first)
        for following in others:
            if line := b"".join(begun):
                yield line
            begun = [following]
    raise Again("the watch ended", sent=False)

"""Several streams of sorted filenames made one, block by block, in bounded memory."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Awaitable, Sequence

from agent.ports import walk_key


class _Stream:
    """One stream, and what is at hand of it."""

    def __init__(self, batches: AsyncIterator[Sequence[str]]) -> None:
        self._batches = batches
        self._block: Sequence[str] = ()
        self._at = 0

    async def fill(self) -> None:
        """Have the next block at hand, where nothing is left of the last one."""
        while self._at >= len(self._block):
            try:
                self._block, self._at = await anext(self._batches), 0
            except StopAsyncIteration:
                return

    @property
    def last(self) -> str | None:
        """The greatest name at hand; None at the stream's end."""
        return self._block[-1] if self._at < len(self._block) else None

    def take(self, edge: str) -> Sequence[str]:
        """Everything at hand up to and including `edge`."""
        start = self._at
        self._at = bisect_right(self._block, walk_key(edge), lo=start, key=walk_key)
        return self._block[start : self._at]


async def merged(streams: Sequence[AsyncIterator[Sequence[str]]]) -> AsyncIterator[list[str]]:
    """All names of all streams, each of which is in walk order: distinct, in walk order, batch by batch.

    What a stream raises is raised. Of each stream no more than one block is at hand.
    """
    open_streams = [_Stream(stream) for stream in streams]
    while True:
        await together([stream.fill() for stream in open_streams])
        edges = [stream.last for stream in open_streams if stream.last is not None]
        if not edges:
            return
        edge = min(edges, key=walk_key)
        names = [name for stream in open_streams for name in stream.take(edge)]
        names.sort(key=walk_key)  # runs that are sorted already: merging them is what sort() does best
        yield list(dict.fromkeys(names))


async def together(works: Sequence[Awaitable[None]]) -> None:
    """Do all at the same time, each to its end; then raise the first failure, if there was one."""
    for failure in await asyncio.gather(*works, return_exceptions=True):
        if failure is not None:
            raise failure

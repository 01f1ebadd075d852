"""What the objects in this head's own store refer to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence

from agent.config import Live
from agent.files.difference import named_by
from agent.ports import Store

_BATCH = 10_000
"""References read at a time: each batch costs a turn of three threads, and holds a few megabytes."""


class OwnReferences:
    """`References` over the store of this head."""

    def __init__(self, store: Store, live: Live) -> None:
        self._store = store
        self._live = live

    async def references(self) -> AsyncIterator[Sequence[str]]:
        """All referenced filenames, in walk order, batch by batch; raises Unavailable: then nothing is unused."""
        after = ""
        while batch := await self.page(after, _BATCH):
            yield batch
            after = batch[-1]

    async def page(self, after: str, limit: int) -> list[str]:
        """Up to `limit` referenced filenames behind `after`, in walk order; raises Unavailable."""
        return await self._store.references(after, limit)

    async def named(self, filenames: Collection[str]) -> set[str]:
        """Those of `filenames` that an object refers to, by any spelling; raises Unavailable."""
        return await named_by(self.references(), filenames, str(self._live.config.files.root))

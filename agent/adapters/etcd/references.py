"""The filenames that records refer to, sorted once for each change and not for each question."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable

from agent.ports import walk_key

_RUN = 20_000
"""Names that are sorted in one go: about 10 ms of the event loop."""


class ReferenceIndex:
    """Counts each filename's records, and gives the names in walk order."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._sorted: list[str] = []
        """Keys of walk order, as they were when the index was last brought up to date."""
        self._changed: set[str] = set()
        self._sorting = asyncio.Lock()

    def add(self, filenames: Iterable[str]) -> None:
        """A record refers to these now."""
        for key in set(map(walk_key, filenames)):
            self._counts[key] += 1
            if self._counts[key] == 1:
                self._changed ^= {key}

    def remove(self, filenames: Iterable[str]) -> None:
        """A record no longer refers to these."""
        for key in set(map(walk_key, filenames)):
            self._counts[key] -= 1
            if not self._counts[key]:
                del self._counts[key]
                self._changed ^= {key}

    async def after(self, filename: str, limit: int) -> list[str]:
        """Up to `limit` names after `filename`, in walk order."""
        if self._changed or self._sorting.locked():  # what is being sorted in is not among the changes any more
            async with self._sorting:
                while self._changed:
                    await self._update()
        start = bisect_right(self._sorted, walk_key(filename))
        return [key.replace("\0", "/") for key in self._sorted[start : start + limit]]

    async def _update(self) -> None:
        """Bring the sorted names up to date with what has changed, without holding the loop for long."""
        changed, self._changed = self._changed, set()
        try:
            self._sorted = await _merged(self._sorted, changed)
        except BaseException:
            self._changed ^= changed
            raise


async def _merged(ordered: list[str], changed: set[str]) -> list[str]:
    """The sorted names without those of `changed` that were among them, and with those that were not."""
    kept = [key for key in ordered if key not in changed]
    added = list(changed.difference(ordered) if len(changed) > _RUN else _absent(changed, ordered))
    runs = [kept, *(sorted(added[start : start + _RUN]) for start in range(0, len(added), _RUN))]
    while len(runs) > 1:
        await asyncio.sleep(0)
        runs.sort(key=len)
        runs = [sorted(runs[0] + runs[1]), *runs[2:]]  # two sorted runs: one pass of comparisons
    return runs[0]


def _absent(keys: Iterable[str], ordered: list[str]) -> Iterable[str]:
    for key in keys:
        place = bisect_right(ordered, key)
        if not place or ordered[place - 1] != key:
            yield key

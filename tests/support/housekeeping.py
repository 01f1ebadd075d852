"""The file store as a database clean sees it: a fake that keeps its leftovers and filenames in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agent.errors import Conflict, NotFound, Unavailable
from agent.ports import Leftover


class MemoryHousekeeping:
    """`StoreHousekeeping`; `away` makes it fail, `in_use` are targets that turned out not to be leftovers."""

    def __init__(self, leftovers: Iterable[Leftover] = (), files: Iterable[str] = ()) -> None:
        self.left = {(leftover.kind, leftover.target): leftover for leftover in leftovers}
        self.files = set(files)
        self.in_use: set[str] = set()
        self.away: str | None = None

    async def leftovers(self) -> list[Leftover]:
        """What is left, sorted."""
        self._available()
        return [self.left[key] for key in sorted(self.left)]

    async def discard(self, leftover: Leftover) -> int:
        """Remove it unless somebody began to use it."""
        self._available()
        if leftover.target in self.in_use:
            raise Conflict("is in use again")
        if self.left.pop((leftover.kind, leftover.target), None) is None:
            raise NotFound("is not there any more")
        return leftover.bytes

    async def missing(self, filenames: Sequence[str]) -> list[str]:
        """Those that are not among `files`."""
        self._available()
        return [name for name in filenames if name not in self.files]

    def _available(self) -> None:
        if self.away:
            raise Unavailable(self.away)

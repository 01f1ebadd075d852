"""A file store whose process ends in the middle of its work."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any

from typing_extensions import override

from agent.adapters.filestore.directory import DirectoryStore
from agent.model import FileFacts, TrashedFile


class Cut(BaseException):
    """The process ends here."""


class CutStore(DirectoryStore):
    """Works file by file, and is cut off before step number `steps`."""

    steps: int | None = None

    def step(self) -> None:
        """One more step, or the end."""
        if self.steps is not None:
            if self.steps == 0:
                raise Cut
            self.steps -= 1

    @override
    async def discard(self, files: Sequence[FileFacts]) -> list[str | None]:
        return [await self._stepped(super(CutStore, self).discard([facts])) for facts in files]

    @override
    async def restore(self, files: Sequence[TrashedFile]) -> list[str | None]:
        return [await self._stepped(super(CutStore, self).restore([file])) for file in files]

    async def _stepped(self, work: Coroutine[Any, Any, list[str | None]]) -> str | None:
        try:
            self.step()
        except Cut:
            work.close()
            raise
        (reason,) = await work
        return reason

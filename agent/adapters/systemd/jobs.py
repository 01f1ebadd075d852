"""Jobs of systemd: whoever queued one waits here for its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

GONE = "gone"
"""The result of a job that ended while nobody could hear how."""

_REMEMBERED = 256
"""A job may end before its asker has read its path: so many ends are kept for that."""


class Jobs:
    """Who waits for which job; a job is named by its object path."""

    def __init__(self) -> None:
        self._ended: dict[str, str] = {}
        self._waiting: dict[str, list[asyncio.Event]] = {}

    def end(self, path: str, result: str) -> None:
        """A job has ended."""
        self._ended[path] = result
        while len(self._ended) > _REMEMBERED:
            del self._ended[next(iter(self._ended))]
        for waiter in self._waiting.get(path, ()):
            waiter.set()

    async def result(self, path: str) -> str:
        """How the job ended, once it has."""
        if path not in self._ended:
            ended = asyncio.Event()
            waiters = self._waiting.setdefault(path, [])
            waiters.append(ended)
            try:
                await ended.wait()
            finally:
                waiters.remove(ended)
                if not waiters:
                    del self._waiting[path]
        return self._ended.get(path, GONE)

    async def settle(self, exists: Callable[[str], Awaitable[bool]]) -> None:
        """After a time in which nothing was heard: end those that are waited for and do not exist any more."""
        for path in list(self._waiting):
            if not await exists(path):
                self.end(path, GONE)

"""Connections over TCP on which nothing was let in yet: not for long, and not many at a time."""

from __future__ import annotations

import asyncio
from typing import Protocol

PATIENCE = 10.0
"""Seconds that a connection may be idle, or take to send a request's header, until a request of its was let in."""
CROWD = 1000
"""So many such connections at most: one more, and the one that has waited longest is closed."""


class Stranger(Protocol):
    """A connection."""

    @property
    def idle(self) -> bool:
        """Whether it is being waited for a request on it."""
        ...

    def force_close(self) -> None:
        """Close it."""
        ...


class Strangers:
    """Those connections, the oldest first."""

    def __init__(self, patience: float = PATIENCE, crowd: int = CROWD) -> None:
        self._patience = patience
        self._crowd = crowd
        self._waiting: dict[Stranger, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def met(self, stranger: Stranger) -> None:
        """A connection was made."""
        if len(self._waiting) >= self._crowd:
            oldest = next(iter(self._waiting))
            self.forget(oldest)
            oldest.force_close()
        self._wait(stranger)

    def forget(self, stranger: Stranger) -> None:
        """It is no stranger any more, or gone."""
        timer = self._waiting.pop(stranger, None)
        if timer is not None:
            timer.cancel()

    def _wait(self, stranger: Stranger) -> None:
        self._waiting[stranger] = asyncio.get_running_loop().call_later(self._patience, self._look, stranger)

    def _look(self, stranger: Stranger) -> None:
        if stranger.idle:
            self.forget(stranger)
            stranger.force_close()
        else:  # a request is being answered: the refusal may be its end
            self._wait(stranger)

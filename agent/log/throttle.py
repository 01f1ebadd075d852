"""Which lines are held back when too many of one kind come, so that nobody can flood the journal; decides, pure."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Quota(NamedTuple):
    """So many lines of a kind within so many seconds; the rest is counted."""

    lines: int
    seconds: float


@dataclass(slots=True)
class _Window(Generic[T]):
    ends: float
    left: int
    held: int = 0
    last: T | None = None


class Held(NamedTuple, Generic[T]):
    """The last of `number` lines of a kind that were held back."""

    line: T
    number: int


class Throttle(Generic[T]):
    """Counts lines by kind; times are monotonic seconds."""

    def __init__(self, kinds: int = 1000) -> None:
        """`kinds`: so many are remembered; of more, those whose first line came first are let go."""
        self._kinds = kinds
        self._windows: dict[Hashable, _Window[T]] = {}
        self._forgotten: list[Held[T]] = []
        self._next: float | None = None
        """When the first of the kinds that are held back has its time over; lines come often, and few change it."""

    def __len__(self) -> int:
        return len(self._windows)

    def admits(self, kind: Hashable, quota: Quota, line: T, now: float) -> bool:
        """Whether this line may go; one that may not is counted, and `due` tells of it when its time is over."""
        window = self._windows.get(kind)
        if window is not None and window.ends <= now:
            self._forget(kind)
            window = None
        if window is None:
            while len(self._windows) >= self._kinds:
                self._forget(next(iter(self._windows)))
            window = self._windows[kind] = _Window(now + quota.seconds, quota.lines)
        if window.left > 0:
            window.left -= 1
            return True
        if window.held == 0 and (self._next is None or window.ends < self._next):
            self._next = window.ends
        window.held += 1
        window.last = line
        return False

    def due(self, now: float) -> list[Held[T]]:
        """What was held back by kinds whose time is over, each told once."""
        for kind in [kind for kind, window in self._windows.items() if window.ends <= now]:
            self._forget(kind)
        self._next = min((window.ends for window in self._windows.values() if window.held), default=None)
        told, self._forgotten = self._forgotten, []
        return told

    def wait(self, now: float) -> float | None:
        """Seconds until there is something to tell, None while nothing is held back."""
        if self._forgotten:
            return 0.0
        return max(0.0, self._next - now) if self._next is not None else None

    def _forget(self, kind: Hashable) -> None:
        window = self._windows.pop(kind)
        if window.last is not None:
            self._forgotten.append(Held(window.last, window.held))

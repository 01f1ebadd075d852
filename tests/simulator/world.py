"""Virtual time: an event queue, the one source of chance, and a clock for each head."""

from __future__ import annotations

import contextlib
import heapq
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from typing import Any

EPOCH = datetime(2030, 1, 1, tzinfo=UTC)

Event = tuple[float, int, Callable[..., None], tuple[Any, ...]]


@contextlib.contextmanager
def untraced() -> Iterator[None]:
    """Without the coverage that may be measured: of hundreds of thousands of beats it takes four times the time."""
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        yield
    finally:
        sys.settrace(tracer)


class World:
    """What happens when; `now` is virtual seconds. Two runs with one seed are the same to the last event."""

    def __init__(self, seed: int) -> None:
        self.now = 0.0
        self.random = Random(seed)
        self._queue: list[Event] = []
        self._order = count()

    def after(self, delay: float, do: Callable[..., None], *given: Any) -> None:
        """Have `do` called `delay` seconds from now."""
        heapq.heappush(self._queue, (self.now + delay, next(self._order), do, given))

    @untraced()
    def run(self, seconds: float) -> None:
        """Let so much time pass."""
        end, queue, pop = self.now + seconds, self._queue, heapq.heappop
        while queue and queue[0][0] <= end:
            self.now, _, do, given = pop(queue)
            do(*given)
        self.now = end


class SimulatedClock:
    """`Clock` of one head: monotonic seconds from its own zero, and a wall clock that can be set wrong."""

    def __init__(self, world: World, zero: float) -> None:
        self._world = world
        self._zero = zero
        self.off = timedelta()
        """How far the wall clock is off."""

    def monotonic(self) -> float:
        """Seconds."""
        return self._world.now + self._zero

    def now(self) -> datetime:
        """UTC, as this head believes."""
        return EPOCH + timedelta(seconds=self._world.now) + self.off

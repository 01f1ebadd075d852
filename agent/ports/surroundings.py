"""What any room may need: the time, and whether what it depends on is usable."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Time as an argument: monotonic seconds for durations, aware UTC for what people read."""

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps."""
        ...

    def now(self) -> datetime:
        """The present moment, timezone-aware, UTC."""
        ...


@dataclass(frozen=True, slots=True)
class Dependency:
    """Something the agent cannot do its job without; `problem` says what is wrong with it, or None.

    It is asked by anyone and often, so it must be cheap: what is known already, or one look that cannot pile up.
    """

    name: str
    problem: Callable[[], Awaitable[str | None]]

"""A clock that stands still until a test moves it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class StillClock:
    """`Clock`: starts at noon of 1 May 2030 and at monotonic second 1000."""

    def __init__(self) -> None:
        self._now = datetime(2030, 5, 1, 12, tzinfo=UTC)
        self._monotonic = 1000.0

    def monotonic(self) -> float:
        """Seconds."""
        return self._monotonic

    def now(self) -> datetime:
        """UTC."""
        return self._now

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds

    def set_back(self, seconds: float) -> None:
        """Have somebody set the wall clock back."""
        self._now -= timedelta(seconds=seconds)

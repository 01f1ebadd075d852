"""The real clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class SystemClock:
    """`Clock` on the machine's own clocks."""

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps."""
        return time.monotonic()

    def now(self) -> datetime:
        """The present moment, UTC."""
        return datetime.now(UTC)

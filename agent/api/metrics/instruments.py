"""What only GET /metrics reads, beside the rooms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agent.database.upkeep import Upkeep
from agent.heads.heartbeat import Heartbeat
from agent.histogram import Histogram


@dataclass(frozen=True, slots=True)
class Instruments:
    """Where the agent's own figures are kept."""

    heartbeat: Heartbeat
    upkeep: Upkeep
    round_trips: Callable[[], Mapping[str, float]]
    """Seconds to each head to which a link is open."""
    commits: Histogram
    uncommitted: Callable[[], int]
    """Commits that were not done, as the database could not be used."""
    lost_lines: Callable[[], int]
    """Log lines that journald did not take."""

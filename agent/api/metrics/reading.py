"""What one scrape reads: most is at hand; what a disk or another process has to tell is asked for a second."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import TypeVar

from agent.api.health import problems
from agent.api.rooms import Rooms
from agent.database.backups import Backup
from agent.errors import AgentError
from agent.heads.identity import Identity
from agent.heads.liveness import Outlook
from agent.heads.members import Members

T = TypeVar("T")

PATIENCE = 1.0
"""Seconds that a disk or another process has to answer; what it does not tell is left out of that scrape."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The rooms at one moment; None is what could not be read."""

    rooms: Rooms
    now: float
    """Monotonic."""
    members: Members | None
    outlook: Outlook | None
    identity: Identity | None
    ready: Mapping[str, bool]
    size: int | None
    """The database's bytes on disk."""
    backups: Sequence[Backup] | None
    """The newest first."""


async def read(rooms: Rooms) -> Reading:
    """Read all that a scrape tells."""
    size, backups, found = await asyncio.gather(
        _asked(rooms.engine.size()), _asked(rooms.backups.listing()), problems(rooms.dependencies)
    )
    return Reading(
        rooms=rooms,
        now=monotonic(),
        members=_known(rooms.members),
        outlook=_known(rooms.heads.outlook),
        identity=_known(rooms.identity),
        ready={dependency.name: problem is None for dependency, problem in found},
        size=size,
        backups=backups,
    )


async def _asked(question: Awaitable[T]) -> T | None:
    try:
        async with asyncio.timeout(PATIENCE):
            return await question
    except (AgentError, TimeoutError):
        return None


def _known(question: Callable[[], T]) -> T | None:
    try:
        return question()
    except AgentError:
        return None

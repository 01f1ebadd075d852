"""A registry and a directory of heads over a store in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from agent.config import Config, Live
from agent.heads.directory import HeadDirectory
from agent.heads.liveness import Condition, Outlook, Standing
from agent.heads.members import Members
from agent.heads.registry import HeadRegistry
from agent.model import Head
from agent.ports import ClusterEngine
from tests.support.clock import StillClock
from tests.support.memory_store import MemoryStore
from tests.support.people import ME
from tests.support.ssh import pair
from tests.support.unwatched import unwatched


def body(uid: str, **fields: Any) -> dict[str, Any]:
    """What a client sends to register a head."""
    return {"uid": uid, "ssh_public": pair("ed25519").public, **fields}


@dataclass
class HeadRoom:
    """The room of heads; what a detector would say is `seen`, and without it nothing is known of other heads."""

    store: MemoryStore = field(default_factory=MemoryStore)
    clock: StillClock = field(default_factory=StillClock)
    seen: Outlook | None = None
    live: Live = field(default_factory=lambda: Live(Config()))
    engine: ClusterEngine | None = None

    def __post_init__(self) -> None:
        self._unwatched = unwatched(self.clock.now())
        self.registry = HeadRegistry(self.store, ME, self.clock)
        self.directory = HeadDirectory(self.store, self.registry, self.clock, self._watch, self.live, self.engine)

    def see(
        self, standing: Standing, conditions: Mapping[str, Condition], stopped: Mapping[str, float] | None = None
    ) -> None:
        """What the detector says from now on."""
        self.seen = Outlook(standing, "local", conditions, stopped or {})

    def _watch(self, members: Members, now: datetime) -> Outlook:
        return self.seen or self._unwatched(members, now)

    async def start(self) -> HeadRoom:
        """Do what the agent does at its start."""
        await self.registry.ensure_self(Head(ssh_public=pair("ed25519").public, description="me"))
        return self

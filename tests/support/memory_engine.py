"""A database engine in memory, as seen from one head of several."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from typing_extensions import override

from agent.model import Record
from agent.ports import (
    Attachment,
    ClusterEngine,
    EngineMember,
    LocalEngine,
    Put,
)
from agent.records.shape import everything
from tests.support.memory_store import MemoryStore

Hook = Callable[[str], None]
"""Is told of each thing done outside, before it is done; raises to have it fail."""


@dataclass
class MemoryEngine(ClusterEngine, LocalEngine):
    """One engine as seen from one head; a shared one is `etcd`, and attaching takes over what `shared` holds."""

    store: MemoryStore
    hook: Hook
    name: str = "sqlite"
    shared: MemoryStore | None = None
    against: str | None = None
    """What the engine has against a head's leaving."""
    invited: list[str] = field(default_factory=list)
    dismissed: list[str] = field(default_factory=list)
    coming: list[str] = field(default_factory=list)
    """Heads that have no vote yet."""
    started: bool = True
    """Whether members have told their names: etcd knows one that was added and never started by its URL alone."""
    free: asyncio.Event = field(default_factory=asyncio.Event)
    """While it is not set, whoever is to be invited waits."""

    def __post_init__(self) -> None:
        self.free.set()

    @property
    @override
    def kind(self) -> str:
        """Which engine."""
        return self.name

    @override
    async def members(self) -> Sequence[EngineMember]:
        """Those that were invited, and those that are coming."""
        coming = [
            EngineMember(uid if self.started else f"not started: https://{uid}", f"https://{uid}", voter=False)
            for uid in self.coming
        ]
        return [EngineMember(uid, "") for uid in self.invited] + coming

    @override
    async def objection(self, uid: str) -> str | None:
        """What the test put into `against`."""
        return self.against

    @override
    async def invite(self, uid: str, peer_url: str) -> Attachment:
        """Note the head."""
        self.hook("invite")
        await self.free.wait()
        self.invited.append(uid)
        return Attachment(self.name, "c")

    @override
    async def promote(self, uid: str) -> bool:
        """At once."""
        return True

    @override
    async def dismiss(self, uid: str) -> None:
        """Note the head."""
        self.hook("dismiss")
        self.dismissed.append(uid)

    @override
    async def attach(self, attachment: Attachment) -> None:
        """Have the store hold what the shared one does."""
        if attachment.engine == self.name == "sqlite":
            return
        self.hook("attach")
        assert self.shared is not None
        await self._fill(await everything(self.shared))
        self.name = attachment.engine

    @override
    async def found(self, kind: str, records: Sequence[Record] | None = None) -> None:
        """Have the store hold these."""
        self.hook("found")
        found = await everything(self.store) if records is None else records
        self.store.problem = None
        await self._fill(found)
        self.name = kind

    @override
    async def believed(self) -> str | None:
        """It talks to nobody."""
        return None

    @override
    async def rescue(self) -> None:
        """Nothing is lost here."""

    async def _fill(self, records: Sequence[Record]) -> None:
        self.store._rows, self.store.age = {}, None
        if records:
            await self.store.commit(*(_put(record) for record in records))


def _put(record: Record) -> Put:
    return Put(record.kind, record.uid, record.body, record.name)

"""A database room on the memory store and a real directory of backups."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import msgspec

from agent.config import Config, Live
from agent.database.backups import Backups
from agent.database.cleaning import Cleaner
from agent.model import Departure, Head, Kind, Tombstone
from agent.ports import Put, StoreEngine
from tests.support.clock import StillClock
from tests.support.housekeeping import MemoryHousekeeping
from tests.support.memory_store import MemoryStore
from tests.support.turns import always

DAY = 86400.0


def uid(number: int) -> str:
    """The UID of head, image, ... number `number`."""
    return f"{number:032d}"


@dataclass
class DatabaseRoom:
    """The cleaner and the backups with everything behind them, to look at and to change."""

    directory: Path
    store: MemoryStore = field(default_factory=MemoryStore)
    housekeeping: MemoryHousekeeping = field(default_factory=MemoryHousekeeping)
    clock: StillClock = field(default_factory=StillClock)
    live: Live = field(default_factory=lambda: Live(Config()))
    restored: int = 0
    minority: bool = False
    gone: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.backups = self.backups_of(self.store)
        self.cleaner = self.cleaner_of(self.store)

    def cleaner_of(self, engine: StoreEngine) -> Cleaner:
        """A cleaner whose backups and work are those of another engine."""
        turns = always(self.store, engine, lambda: self.minority, self.gone)
        return Cleaner(self.store, self.store, self.housekeeping, self.backups_of(engine), turns, self.live, self.clock)

    def backups_of(self, engine: StoreEngine) -> Backups:
        """The same backups over another engine."""
        return Backups(engine, self.directory, self.live, self.clock, self._note_restore)

    def keep(self, backups: int) -> None:
        """Set `database.backups`."""
        config = self.live.config
        self.live.config = replace(config, database=replace(config.database, backups=backups))

    async def head(self, number: int, generation: int = 1) -> None:
        """Put a head's record."""
        head = Head(ssh_public="ssh-ed25519 AAAA", generation=generation)
        await self.store.commit(Put(Kind.HEAD, uid(number), msgspec.to_builtins(head)))

    async def tombstone(self, number: int, days_ago: float, generation: int = 1) -> None:
        """Put the tombstone of a head that left `days_ago`."""
        at = (self.clock.now() - timedelta(days=days_ago)).isoformat()
        body = msgspec.to_builtins(Tombstone(Departure.LEFT, at, generation))
        await self.store.commit(Put(Kind.TOMBSTONE, uid(number), body))

    async def tombstones(self) -> list[str]:
        """The uids that have one."""
        return [record.uid for record in await self.store.records(Kind.TOMBSTONE)]

    async def _note_restore(self) -> None:
        self.restored += 1

"""A files room with everything behind it, to look at and to change; trees of files on a real disk."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from typing_extensions import override

from agent.config import Config, Files, Live
from agent.errors import Unavailable
from agent.files.collector import Collector
from agent.files.difference import named_by
from agent.loops import Loops
from agent.ports import FileStore, References, walk_key
from agent.records.locks import Locks
from agent.records.turns import Turns
from tests.support.clock import StillClock
from tests.support.memory_store import MemoryStore

SELF = "a" * 32
"""The uid of the head whose room it is, unless a test says otherwise."""


@dataclass
class SetReferences:
    """`References` from a set; `away` makes them fail; `then` are names that appear after so many more readings."""

    names: set[str] = field(default_factory=set)
    away: str | None = None
    then: dict[int, str] = field(default_factory=dict)
    batch: int = 2
    readings: int = 0

    async def references(self) -> AsyncIterator[Sequence[str]]:
        """In walk order, a few at a time."""
        self.readings += 1
        if name := self.then.get(self.readings):
            self.names.add(name)
        if self.away:
            raise Unavailable(self.away)
        ordered = sorted(self.names, key=walk_key)
        for start in range(0, len(ordered), self.batch):
            yield ordered[start : start + self.batch]

    async def page(self, after: str, limit: int) -> list[str]:
        """Some of them."""
        names = [name async for batch in self.references() for name in batch]
        return [name for name in names if walk_key(name) > walk_key(after)][:limit]

    async def named(self, filenames: Collection[str]) -> set[str]:
        """By reading them all."""
        return await named_by(self.references(), filenames, "/store")


class FailLater(SetReferences):
    """References that are away once they have been read so many times."""

    last: int = 1

    @override
    async def references(self) -> AsyncIterator[Sequence[str]]:
        """In walk order, while they are there."""
        if self.readings == self.last:
            self.away = "the database is away"
        async for batch in super().references():
            yield batch


@dataclass
class FilesRoom:
    """The collector over a store. Its objects are `references`, unless `everywhere` says what all heads have."""

    store: FileStore
    references: SetReferences = field(default_factory=SetReferences)
    clock: StillClock = field(default_factory=StillClock)
    live: Live = field(default_factory=lambda: Live(Config(files=Files(root=Path("/store"), min_age=0.0))))
    loops: Loops = field(default_factory=Loops)
    everywhere: References | None = None
    records: MemoryStore = field(default_factory=MemoryStore)
    """Where the lock is, if the heads share a store."""
    uid: str = SELF
    gone: set[str] = field(default_factory=set)
    minority: bool = False

    def __post_init__(self) -> None:
        locks = Locks(self.records, self.uid, self.clock, self.gone.__contains__)
        self.turns = Turns(self.records, self.records, locks, lambda: self.minority)
        self.collector = Collector(
            self.store,
            self.everywhere or self.references,
            self.references,
            self.turns,
            self.live,
            self.loops,
            self.clock,
        )

    def set(self, **keys: Any) -> None:
        """Change keys of [files]."""
        config = self.live.config
        self.live.config = replace(config, files=replace(config.files, **keys))

    async def unused(self) -> list[str]:
        """The filenames that are listed."""
        return [candidate.row.filename for candidate in (await self.collector.unused()).unused]

    async def kept(self) -> dict[str, str]:
        """Why the other unreferenced files stay."""
        return {item.filename: item.reason for item in (await self.collector.unused()).kept}


def write(root: Path, filenames: Iterable[str], content: bytes = b"x") -> None:
    """Write files, with the directories that they need."""
    for filename in filenames:
        place = root / filename
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)


def present(root: Path) -> set[str]:
    """The files that are in their places."""
    found = set()
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found |= {os.path.relpath(os.path.join(folder, name), root) for name in names if not name.startswith(".")}
    return found


def fill(directory: Path) -> Path:
    """Use up the disk below `directory`, to the last block and inode; returns the file to delete when it is enough."""
    ballast = directory / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (2**20, 4096, 512, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError as err:
                if err.errno != errno.ENOSPC:
                    raise
    os.sync()
    return ballast

"""A file store in memory, with a clock of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from itertools import count

from agent.errors import Unavailable
from agent.files.difference import Difference
from agent.files.kinds import kind_of
from agent.model import FileFacts, Look, TrashedFile
from agent.ports import Sighting, walk_key

SECOND = 10**9


@dataclass
class _File:
    content: bytes
    inode: int
    mtime: int
    ctime: int
    links: int = 1
    busy: str | None = None


@dataclass
class MemoryFiles:
    """`FileStore`; `away` makes it fail, `full` is its usage in percent, `freed` what each purge takes off that."""

    away: str | None = None
    trusted: bool = True
    time: int = 1_900_000_000 * SECOND
    full: float = 50.0
    freed: float = 0.0
    files: dict[str, _File] = field(default_factory=dict)
    trashed: dict[tuple[str, str], _File] = field(default_factory=dict)
    stuck: dict[str, str] = field(default_factory=dict)
    """Filenames that cannot be moved, and why."""
    prepared: int = 0
    walk: Difference | None = None

    def __post_init__(self) -> None:
        self._inodes = count(1)

    def put(self, filename: str, content: bytes = b"x", *, links: int = 1, busy: str | None = None) -> None:
        """Write a file."""
        self.files[filename] = _File(content, next(self._inodes), self.time, self.time, links, busy)

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self.time += int(seconds * SECOND)

    @property
    def scanned(self) -> int:
        """As many as the walk has seen."""
        return self.walk.scanned if self.walk else 0

    async def prepare(self) -> None:
        """Count it."""
        self._available()
        self.prepared += 1

    async def now(self) -> int:
        """Its time."""
        self._available()
        return self.time

    async def usage(self) -> float:
        """As it was set."""
        self._available()
        return self.full

    async def unreferenced(self, references: AsyncIterator[Sequence[str]]) -> Sighting:
        """The same comparison as on a disk."""
        self._available()
        await asyncio.sleep(0)
        blocks = [[name] for name in sorted(self.files, key=walk_key)]
        self.walk = difference = Difference(iter(blocks), "/store")
        try:
            async for batch in references:
                difference.feed(batch)
            left = difference.finish()
        finally:
            self.walk = None
        return Sighting(left, difference.scanned, difference.references)

    async def facts(self, filenames: Sequence[str]) -> list[FileFacts]:
        """Of those that are there."""
        self._available()
        return [self._facts(name, self.files[name]) for name in filenames if name in self.files]

    async def look(self, files: Sequence[FileFacts]) -> list[Look]:
        """Busy when it was made so, or when it is not what it was."""
        self._available()
        return [self._look(facts) for facts in files]

    async def discard(self, files: Sequence[FileFacts]) -> list[str | None]:
        """Move each."""
        self._available()
        return [self._discard(facts) for facts in files]

    async def trash(self) -> list[TrashedFile]:
        """The oldest first."""
        self._available()
        listed = [
            TrashedFile(name, slot, len(file.content), file.ctime, file.inode)
            for (slot, name), file in self.trashed.items()
        ]
        return sorted(listed, key=lambda file: (file.deleted, file.filename, file.slot))

    async def restore(self, files: Sequence[TrashedFile]) -> list[str | None]:
        """Each, where its place is free."""
        self._available()
        return [self._restore(file) for file in files]

    async def purge(self, files: Sequence[TrashedFile]) -> list[str | None]:
        """Each."""
        self._available()
        return [self._purge(file) for file in files]

    def _available(self) -> None:
        if self.away:
            raise Unavailable(self.away)

    def _facts(self, name: str, file: _File) -> FileFacts:
        return FileFacts(
            name, 1, file.inode, len(file.content), file.mtime, file.ctime, file.links, regular=True, mounted=False
        )

    def _look(self, facts: FileFacts) -> Look:
        file = self.files.get(facts.filename)
        if file is None:
            return Look("is not there any more", "other")
        if self._facts(facts.filename, file) != facts:
            return Look("has changed meanwhile", "other")
        content = file.content
        return Look(file.busy, "other" if file.busy else kind_of(lambda at, length: content[at : at + length]))

    def _discard(self, facts: FileFacts) -> str | None:
        if reason := self.stuck.get(facts.filename) or self._look(facts).busy:
            return reason
        file = self.files.pop(facts.filename)
        file.ctime = self.time
        slot = next(str(n) for n in count(1) if (str(n), facts.filename) not in self.trashed)
        self.trashed[slot, facts.filename] = file
        return None

    def _restore(self, file: TrashedFile) -> str | None:
        if reason := self.stuck.get(file.filename):
            return reason
        if file.filename in self.files:
            return "has a new file in its place"
        found = self.trashed.get((file.slot, file.filename))
        if found is None or found.inode != file.inode:
            return "is not in the trash any more"
        del self.trashed[file.slot, file.filename]
        found.ctime = self.time
        self.files[file.filename] = found
        return None

    def _purge(self, file: TrashedFile) -> str | None:
        if self.trashed.pop((file.slot, file.filename), None) is None:
            return "is not in the trash any more"
        self.full -= self.freed
        return None

"""This head's file store, and what keeps its files alive."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from agent.model import FileFacts, Look, TrashedFile


class References(Protocol):
    """The files that the objects refer to: the roots of the unused-file decision."""

    def references(self) -> AsyncIterator[Sequence[str]]:
        """All referenced filenames, distinct, in walk order, batch by batch. Raises Unavailable: fail closed."""
        ...

    async def named(self, filenames: Collection[str]) -> set[str]:
        """Those of `filenames` that an object refers to at this moment, by any spelling. Raises Unavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a walk through the file store found: the `unreferenced` in walk order, and how many of each it saw.

    `links` are the symbolic links that lead to something in the store, with where they lead.
    """

    unreferenced: list[str]
    scanned: int
    references: int
    links: dict[str, str] = field(default_factory=dict)


class FileStore(Protocol):
    """This head's file store. Every method raises Unavailable while its directory cannot be used as a whole.

    What cannot be done with one file is told for that file, as a reason that follows on from its name. Symbolic
    links are never followed; filenames are relative to the root.
    """

    @property
    def trusted(self) -> bool:
        """Whether leases are known to tell, on this filesystem, that nobody uses a file."""
        ...

    @property
    def scanned(self) -> int:
        """How many files the walk under way has seen so far; 0 when there is none."""
        ...

    async def prepare(self) -> None:
        """Have ready what a removal needs on a full disk; raises Unavailable when files cannot be removed."""
        ...

    async def now(self) -> int:
        """The time by the filesystem's own clock, nanoseconds since 1970."""
        ...

    async def usage(self) -> float:
        """How full the disk is, in percent, as `df` counts."""
        ...

    async def unreferenced(self, references: AsyncIterator[Sequence[str]]) -> Sighting:
        """Walk through the store and take out what `references` (distinct, in walk order) names by any spelling.

        Raises Unavailable when any directory cannot be read: what cannot be seen cannot be judged.
        """
        ...

    async def facts(self, filenames: Sequence[str]) -> list[FileFacts]:
        """The facts of those that are there, in the order given."""
        ...

    async def look(self, files: Sequence[FileFacts]) -> list[Look]:
        """Open each: is it in use, and what is in it?"""
        ...

    async def discard(self, files: Sequence[FileFacts]) -> list[str | None]:
        """Move each to the trash unless it is not what it was or is in use: why it was kept, or None."""
        ...

    async def trash(self) -> list[TrashedFile]:
        """What is in the trash, the oldest first."""
        ...

    async def restore(self, files: Sequence[TrashedFile]) -> list[str | None]:
        """Put each back where it was, never over another file: why it was not, or None."""
        ...

    async def purge(self, files: Sequence[TrashedFile]) -> list[str | None]:
        """Remove each from the trash for good: why it was not, or None."""
        ...


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something in the file store that nobody will miss; `kind` is `upload` or `trash`.

    `target` names it for people and for `discard`, in text that JSON can carry; `bytes` is what it takes up.
    """

    kind: str
    target: str
    reason: str
    bytes: int


class StoreHousekeeping(Protocol):
    """What a database clean needs of this head's file store. Every method raises Unavailable without it."""

    async def leftovers(self) -> list[Leftover]:
        """Dead uploads (`*.part`, unlocked, unreferenced, old enough) and expired trash, by kind and target."""
        ...

    async def discard(self, leftover: Leftover) -> int:
        """Check once more, then remove it; returns the bytes it took up.

        Raises Conflict when it is not a leftover any more, NotFound when it is not there.
        """
        ...

    async def missing(self, filenames: Sequence[str]) -> list[str]:
        """Those of `filenames` that are not in the store, in the order given; so is any that leads out of it."""
        ...


def walk_key(path: str) -> str:
    """The sort key of walk order: "/" sorts before every other character (NUL cannot be in a path)."""
    return path.replace("/", "\0")

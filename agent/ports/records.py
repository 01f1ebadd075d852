"""The database: records with compare-and-set, and the engine that keeps them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from agent.model import Kind, Record

ABSENT = 0
"""As an expected revision: the record must not exist yet."""


@dataclass(frozen=True, slots=True)
class Put:
    """Write a record. `expect`: a revision to compare with, ABSENT to create, None for unconditional."""

    kind: Kind
    uid: str
    body: dict[str, Any]
    name: str | None = None
    expect: int | None = None
    references: Sequence[str] = ()
    """The filenames, relative to the store's root, that this record keeps alive."""


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove a record. `expect` as in `Put`, never ABSENT. Removing what is not there raises NotFound."""

    kind: Kind
    uid: str
    expect: int | None = None


Change = Put | Delete


class Store(Protocol):
    """Records with compare-and-set. Every method raises Unavailable while the engine is away or damaged.

    Contract: reads see every commit that this process was answered; those of other heads' agents follow within
    moments, in order. Revisions grow strictly over the whole store; a commit is all or nothing, also across a crash.
    """

    @property
    def age(self) -> float | None:
        """Seconds since what is read here was last known to be the newest; None while it is, as with one's own file.

        A shared engine without quorum still answers reads, ever older ones, and refuses commits: Unavailable with
        the code `no-quorum`.
        """
        ...

    async def get(self, kind: Kind, uid: str) -> Record | None:
        """The record, or None."""
        ...

    async def find(self, kind: Kind, name: str) -> Record | None:
        """The record of that kind with that name, or None."""
        ...

    async def records(self, kind: Kind) -> list[Record]:
        """All records of a kind, sorted by uid."""
        ...

    async def commit(self, *changes: Change) -> int:
        """Apply all changes or none, and return the revision they were given.

        Raises Conflict (code `exists`, `name-taken`) for a create over something, Stale when an expected
        revision is no longer the record's, NotFound when a record to delete or compare is not there.
        """
        ...

    async def references(self, after: str, limit: int) -> list[str]:
        """Up to `limit` distinct referenced filenames greater than `after`, in *walk order*.

        Walk order compares paths with "/" taken as the lowest character (`walk_key`), the order in which a
        depth-first walk with sorted names meets the files. Start with after="".
        """
        ...

    def on_change(self, callback: Callable[[frozenset[Kind]], None]) -> None:
        """Have `callback` called, in the event loop, after each committed change, with the kinds it touched.

        Also, with every kind, when the store goes away or comes back: what was read may no longer hold.
        """
        ...


class StoreEngine(Protocol):
    """What cleaning and backups need of the engine beyond its records."""

    @property
    def kind(self) -> str:
        """Which engine it is: `sqlite` or `etcd`."""
        ...

    @property
    def problem(self) -> str | None:
        """Why the store cannot be used (damaged, disk full, ...), one sentence; None while it can."""
        ...

    @property
    def revision(self) -> int:
        """The newest revision that is known."""
        ...

    async def check(self) -> list[str]:
        """An integrity check: what is wrong, an empty list when all is well."""
        ...

    async def size(self) -> int:
        """Bytes on disk, write-ahead log included."""
        ...

    async def backup_size(self) -> int:
        """Bytes that a backup takes at most, about."""
        ...

    async def reclaimable(self) -> dict[str, int]:
        """The engine's own clean-up work that is worth doing: action name -> bytes expected to be freed."""
        ...

    async def reclaim(self, action: str) -> int:
        """Do one such action; returns the bytes freed."""
        ...

    async def backup(self, target: Path) -> int:
        """Write a consistent copy to `target` (must not exist), durable before it returns; its size."""
        ...

    async def restore(self, source: Path, kinds: Collection[Kind] = tuple(Kind)) -> Path:
        """Check `source`, move the present database aside and put a copy of `source` in its place.

        Records of other than these `kinds` stay as they are, unless the present database is damaged: then all are those
        of `source`. Returns where the old one was moved to. Raises Invalid when `source` is not a sound backup; then
        nothing has changed.
        """
        ...

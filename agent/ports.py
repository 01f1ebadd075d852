"""The ports: what the rooms need of the world, as Protocols whose docstrings are the contract.

Every adapter, and every fake of one, passes the same contract suite (`tests/contracts`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from agent.model import FileFacts, Kind, Look, Record, TrashedFile


class Clock(Protocol):
    """Time as an argument: monotonic seconds for durations, aware UTC for what people read."""

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps."""
        ...

    def now(self) -> datetime:
        """The present moment, timezone-aware, UTC."""
        ...


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

    Contract: reads see every commit that was answered; revisions grow strictly over the whole store;
    a commit is all or nothing, also across a crash.
    """

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
    def problem(self) -> str | None:
        """Why the store cannot be used (damaged, disk full, ...), one sentence; None while it can."""
        ...

    async def check(self) -> list[str]:
        """An integrity check: what is wrong, an empty list when all is well."""
        ...

    async def size(self) -> int:
        """Bytes on disk, write-ahead log included."""
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

    async def restore(self, source: Path) -> Path:
        """Check `source`, move the present database aside and put a copy of `source` in its place.

        Returns where the old one was moved to. Raises Invalid when `source` is not a sound backup; then
        nothing has changed.
        """
        ...


class References(Protocol):
    """The files that the objects refer to: the roots of the unused-file decision."""

    def references(self) -> AsyncIterator[Sequence[str]]:
        """All referenced filenames, distinct, in walk order, batch by batch. Raises Unavailable: fail closed."""
        ...


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a walk through the file store found: the `unreferenced` in walk order, and how many of each it saw."""

    unreferenced: list[str]
    scanned: int
    references: int


class FileStore(Protocol):
    """This head's file store. Every method raises Unavailable while its directory cannot be used as a whole.

    What cannot be done with one file is told for that file, as a reason that follows on from its name. Symbolic
    links are never followed; filenames are relative to the root.
    """

    @property
    def trusted(self) -> bool:
        """Whether leases are known to tell, on this filesystem, that nobody uses a file."""
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


@dataclass(frozen=True, slots=True)
class Unit:
    """What systemd says of one service unit; the words are systemd's own, `name` is the primary name."""

    name: str
    description: str = ""
    load_state: str = "loaded"
    active_state: str = "inactive"
    sub_state: str = "dead"
    file_state: str = ""
    """UnitFileState, read from disk: enabled, disabled, static, masked, ...; empty when there is no file."""
    aliases: frozenset[str] = frozenset()
    """Its other names, as far as a pattern matches them."""
    main_pid: int = 0
    """0 when nothing runs."""
    restarts: int = 0
    """How often systemd itself restarted it (NRestarts)."""
    result: str = "success"
    since: int = 0
    """Microseconds since 1970 (UTC) when it got into its active state; 0 when systemd does not know."""
    job: int = 0
    """The id of the pending systemd job, 0 without one."""
    stopped: bool = False
    """Somebody asked for it to stop, and nobody asked for it to start since; a stop that ended badly counts."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All units there are now; whatever was known before is void."""

    units: tuple[Unit, ...]


@dataclass(frozen=True, slots=True)
class Changed:
    """One unit as it is now, known before or not."""

    unit: Unit


@dataclass(frozen=True, slots=True)
class Gone:
    """A unit that is neither loaded nor installed any more."""

    name: str


@dataclass(frozen=True, slots=True)
class Lost:
    """Nothing is heard of systemd from here on, until a Snapshot says otherwise; `reason` is one sentence."""

    reason: str


UnitEvent = Snapshot | Changed | Gone | Lost


class Verb(StrEnum):
    """What systemd can be asked to do with a unit that ends as a job."""

    START = "start"
    STOP = "stop"
    RESTART = "restart"
    RELOAD = "reload"


class UnitManager(Protocol):
    """The service manager. Every method but `run` and `select` raises

    Unavailable (nobody to ask), Denied (this agent may not, by polkit), NotFound (no such unit), TimedOut (no
    answer in `timeout` seconds), Conflict with code `unsupported` (the unit cannot do that), Failed (the rest).
    """

    def select(self, patterns: Sequence[str]) -> None:
        """Follow the units whose name matches one of these shell patterns; a Snapshot follows if that is new."""
        ...

    async def run(self, hear: Callable[[UnitEvent], None]) -> None:
        """Follow systemd until cancelled: `hear` gets a Snapshot, then what changes, in the order of its happening.

        Lost may come at any time and more than once; a Snapshot ends it. Units that are installed but not
        loaded are part of a Snapshot; templates, and names that exist nowhere, are not. `hear` is called
        in the event loop and does not wait.
        """
        ...

    async def job(self, verb: Verb, unit: str, timeout: float) -> str:
        """Queue a job and wait for its end: systemd's word for it (done, failed, timeout, canceled, dependency, ...).

        Whatever `hear` was to be told of the unit by then, it has been told. After TimedOut the job goes on.
        """
        ...

    async def reset_failed(self, unit: str, timeout: float) -> None:
        """Forget that the unit failed and how often it was started; a unit that is not loaded is fine."""
        ...

    async def enable(self, unit: str, timeout: float) -> str:
        """Have the unit start at boot, as its [Install] section says; returns its UnitFileState afterwards."""
        ...

    async def disable(self, unit: str, timeout: float) -> str:
        """Have the unit not start at boot; returns its UnitFileState afterwards."""
        ...


@dataclass(frozen=True, slots=True)
class Dependency:
    """Something the agent cannot do its job without; `problem` says what is wrong with it, or None.

    It is asked by anyone and often, so it must be cheap: what is known already, or one look that cannot pile up.
    """

    name: str
    problem: Callable[[], Awaitable[str | None]]


def walk_key(path: str) -> str:
    """The sort key of walk order: "/" sorts before every other character (NUL cannot be in a path)."""
    return path.replace("/", "\0")

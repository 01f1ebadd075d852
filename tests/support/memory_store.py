"""The store in memory: the fake that passes the same contract suite as the real engines."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from agent.errors import Conflict, Invalid, NotFound, Stale, Unavailable
from agent.model import Kind, Record
from agent.ports import ABSENT, Change, Delete, Put, walk_key

Key = tuple[Kind, str]


@dataclass(frozen=True)
class _Row:
    record: Record
    references: tuple[str, ...]


@dataclass
class MemoryStore:
    """`Store` and `StoreEngine` over a dict; set `problem` to have it away, `work` for something to reclaim.

    Set `kind` to have it shared, `age` to have it without quorum, `full`: then it is read, and refuses commits.
    """

    problem: str | None = None
    kind: str = "sqlite"
    age: float | None = None
    full: bool = False
    work: dict[str, int] = field(default_factory=dict)
    revision: int = 0
    _rows: dict[Key, _Row] = field(default_factory=dict)
    _callbacks: list[Callable[[frozenset[Kind]], None]] = field(default_factory=list)

    async def get(self, kind: Kind, uid: str) -> Record | None:
        """The record, or None."""
        self._available()
        row = self._rows.get((kind, uid))
        return _copy(row.record) if row else None

    async def find(self, kind: Kind, name: str) -> Record | None:
        """The record with that name, or None."""
        self._available()
        return next(
            (_copy(r.record) for r in self._rows.values() if (r.record.kind, r.record.name) == (kind, name)), None
        )

    async def records(self, kind: Kind) -> list[Record]:
        """All records of a kind, sorted by uid."""
        self._available()
        return [_copy(row.record) for key, row in sorted(self._rows.items()) if key[0] is kind]

    async def commit(self, *changes: Change) -> int:
        """Apply all changes or none."""
        self._available()
        if self.age is not None:
            raise Unavailable("cannot write to the database: it has no quorum", code="no-quorum")
        if self.full:
            raise Unavailable("etcd has reached its quota", code="no-space")
        if not changes:
            return self.revision
        rows = dict(self._rows)
        for change in changes:
            _apply(rows, change, self.revision + 1)
        self._rows = rows
        self.revision += 1
        self._tell(frozenset(change.kind for change in changes))
        return self.revision

    async def references(self, after: str, limit: int) -> list[str]:
        """Referenced filenames after `after`, in walk order."""
        self._available()
        names = {name for row in self._rows.values() for name in row.references}
        return sorted((n for n in names if walk_key(n) > walk_key(after)), key=walk_key)[:limit]

    def on_change(self, callback: Callable[[frozenset[Kind]], None]) -> None:
        """Have `callback` called after each change."""
        self._callbacks.append(callback)

    async def check(self) -> list[str]:
        """What is wrong: the problem, if there is one."""
        return [self.problem] if self.problem else []

    async def size(self) -> int:
        """The length of what a backup would be."""
        return len(self._dump())

    async def backup_size(self) -> int:
        """Just that."""
        return len(self._dump())

    async def reclaimable(self) -> dict[str, int]:
        """What a test put into `work`."""
        self._available()
        return dict(self.work)

    async def reclaim(self, action: str) -> int:
        """Do it: it is gone from `work`."""
        self._available()
        if action not in self.work:
            raise NotFound(f"the store knows no action {action}")
        return self.work.pop(action)

    async def backup(self, target: Path) -> int:
        """Write everything to `target`."""
        self._available()
        if target.exists():
            raise Conflict("cannot write the backup: there is already a file of that name", code="exists")
        return target.write_bytes(self._dump())

    async def restore(self, source: Path, kinds: Collection[Kind] = tuple(Kind)) -> Path:
        """Replace everything by what `backup` wrote; the old state goes beside `source`."""
        try:
            revision, rows = msgspec.json.decode(source.read_bytes(), type=tuple[int, list[_Dumped]])
        except (OSError, msgspec.DecodeError) as err:
            raise Invalid("cannot restore: this is not a backup") from err
        aside = source.with_name(source.name + ".before")
        aside.write_bytes(self._dump())
        stay = {} if self.problem else {key: row for key, row in self._rows.items() if key[0] not in kinds}
        brought = {(row.record.kind, row.record.uid): _Row(row.record, tuple(row.references)) for row in rows}
        self._rows = {key: row for key, row in brought.items() if self.problem or key[0] in kinds} | stay
        self.revision = max(self.revision, revision) + 1
        self.problem = None
        self._tell(frozenset(Kind))
        return aside

    def _available(self) -> None:
        if self.problem:
            raise Unavailable(f"cannot use the database: {self.problem}")

    def _tell(self, kinds: frozenset[Kind]) -> None:
        for callback in self._callbacks:
            callback(kinds)

    def _dump(self) -> bytes:
        return msgspec.json.encode((self.revision, [_Dumped(r.record, r.references) for r in self._rows.values()]))


class _Dumped(msgspec.Struct):
    record: Record
    references: tuple[str, ...]


def _copy(record: Record) -> Record:
    return msgspec.structs.replace(record, body=_through_json(record.body))


def _through_json(body: dict[str, Any]) -> dict[str, Any]:
    copied: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(body))
    return copied


def _apply(rows: dict[Key, _Row], change: Change, revision: int) -> None:
    key = (change.kind, change.uid)
    present = rows.get(key)
    _expect(change, present.record.revision if present else None)
    if isinstance(change, Delete):
        del rows[key]
        return
    for other in rows.values():
        same_name = change.name is not None and other.record.name == change.name
        if same_name and other.record.kind is change.kind and other.record.uid != change.uid:
            raise Conflict(f"there is already a {change.kind} named {change.name!r}", code="name-taken")
    record = Record(change.kind, change.uid, revision, _through_json(change.body), change.name)
    rows[key] = _Row(record, tuple(change.references))


def _expect(change: Put | Delete, present: int | None) -> None:
    who = f"{change.kind} {change.uid}"
    if change.expect == ABSENT and isinstance(change, Put):
        if present is not None:
            raise Conflict(f"there is already a {who}", code="exists")
    elif present is None and (isinstance(change, Delete) or change.expect is not None):
        raise NotFound(f"there is no {who}")
    elif change.expect is not None and change.expect != present:
        raise Stale(f"{who} has changed since")

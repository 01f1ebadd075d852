"""What this head knows of the store: every record as of one revision, kept up to date by the watch."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator
from typing import Any, NamedTuple, cast

import msgspec

from agent.adapters.etcd.keys import Current, Key, NameKey, RecordKey, Stored, encode
from agent.adapters.etcd.references import ReferenceIndex
from agent.adapters.sqlite.archive import Archive, Row
from agent.errors import Unavailable
from agent.model import Kind, Record
from agent.records.shape import SHAPE

_decode_stored = msgspec.json.Decoder(Stored).decode
_decode_body = msgspec.json.Decoder(dict[str, Any]).decode

_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding raises where the value is somebody else's."""

_KINDS = {kind.value: kind for kind in Kind}

ALL = frozenset(Kind)
"""Every kind: whatever was read may no longer hold."""


class Change(NamedTuple):
    """A key's new value, None when it is gone, and the etcd revision at which that happened."""

    key: Key
    value: bytes | None
    revision: int


class Entry(NamedTuple):
    """A record as it is kept: its body stays JSON until somebody reads it."""

    revision: int
    stored: Stored

    def record(self, key: RecordKey) -> Record:
        """The record; each call makes a new body."""
        return Record(
            _KINDS.get(key.kind, cast("Kind", key.kind)),
            key.uid,
            self.revision,
            _decode_body(self.stored.body),
            self.stored.name,
        )


class Cache:
    """Records, names and references as of etcd's revision `revision`. Not filled yet, it is at revision 0.

    Revisions of records and of `Entry` are the store's: etcd's own and `current.base`.
    """

    def __init__(self) -> None:
        self.revision = 0
        self.current = Current()
        self.current_revision = 0
        """etcd's revision of the key that names the generation in force."""
        self.filled = False
        """Whether there is anything to read: from etcd, or from the copy on disk."""
        self.changes = 0
        """Grows with each change, for whoever writes it down."""
        self._records: dict[str, dict[str, Entry]] = {}
        self._sorted: dict[str, list[str]] = {}
        self._names: dict[NameKey, tuple[str, int]] = {}
        self._damaged: set[Key] = set()
        self._references = ReferenceIndex()
        self._waiting: dict[asyncio.Future[None], int] = {}

    # --- reading ---

    def entry(self, key: RecordKey) -> Entry | None:
        """What is kept of a record."""
        return self._records.get(key.kind, {}).get(key.uid)

    def record(self, kind: str, uid: str) -> Record | None:
        """The record, or None."""
        key = RecordKey(kind, uid)
        entry = self.entry(key)
        return entry.record(key) if entry else None

    def holder(self, name: NameKey) -> str | None:
        """The uid of the record with that name."""
        return self._names.get(name, (None, 0))[0]

    def records(self, kind: str) -> list[Record]:
        """All records of a kind, sorted by uid."""
        entries = self._records.get(kind, {})
        if kind not in self._sorted:
            self._sorted[kind] = sorted(entries)
        return [entries[uid].record(RecordKey(kind, uid)) for uid in self._sorted[kind]]

    async def references(self, after: str, limit: int) -> list[str]:
        """Referenced filenames in walk order."""
        return await self._references.after(after, limit)

    def rows(self) -> Iterator[Row]:
        """Everything as of this moment, by kind and uid; the work is done as it is read, also in a thread."""
        entries = [(RecordKey(kind, uid), entry) for kind, of in self._records.items() for uid, entry in of.items()]
        return (Row(entry.record(key), entry.stored.references) for key, entry in sorted(entries, key=_by_key))

    def renewed(self, rows: Iterable[Row], kinds: Collection[Kind]) -> list[Row]:
        """Of these rows those of `kinds`, and all else as it is here.

        They are just these rows where who is in the cluster cannot be read here.
        """
        if not self._records.get(Kind.CLUSTER) or any(key.kind in SHAPE for key in self._damaged):
            return list(rows)
        renewed = [row for row in rows if row.record.kind in kinds]
        return [*renewed, *(row for row in self.rows() if row.record.kind not in kinds)]

    @property
    def newest(self) -> int:
        """The store's revision that was reached."""
        return self.revision + self.current.base

    def changed(self, key: Key) -> int:
        """etcd's revision of a key's last change, 0 where there is none."""
        if isinstance(key, NameKey):
            return self._names.get(key, ("", 0))[1]
        entry = self.entry(key)
        return entry.revision - self.current.base if entry else 0

    def check(self) -> None:
        """Raises Unavailable when there is nothing to read yet, or what was read makes no sense."""
        if self._damaged:
            key = min(self._damaged)
            raise Unavailable(
                f"cannot use the database: {key.kind} {key[1]} in etcd is not what this agent wrote: "
                "bring back a backup with cw-headctl database restore",
                code="database-damaged",
            )
        if not self.filled:
            raise Unavailable("the database has not been read yet, and this head has no copy of it", code="no-quorum")

    # --- following ---

    async def reached(self, revision: int) -> None:
        """Wait until everything up to that revision of etcd is in here."""
        if self.revision < revision:
            waiter = asyncio.get_running_loop().create_future()
            self._waiting[waiter] = revision
            try:
                await waiter
            finally:
                del self._waiting[waiter]

    def apply(self, changes: Iterable[Change], revision: int) -> frozenset[Kind]:
        """Take what changed up to `revision`; the kinds that it touched."""
        touched = {change.key.kind for change in changes if self._apply(change)}
        self._arrived(revision)
        return frozenset(kind for kind in Kind if kind in touched)

    def replace(self, current: Current, current_revision: int, changes: Iterable[Change], revision: int) -> None:
        """Take a whole snapshot at `revision`; what is not in it is gone."""
        if current != self.current:
            self._clear()
        self.current, self.current_revision = current, current_revision
        seen = set()
        for change in changes:
            seen.add(change.key)
            if self.changed(change.key) != change.revision:
                self._apply(change)
        gone = [key for key in self._keys() if key not in seen]
        for key in gone:
            self._apply(Change(key, None, revision))
        self.filled = True
        self._arrived(revision)

    def fill(self, archive: Archive) -> None:
        """Take the copy that was on disk, to be read until etcd answers."""
        self.current = Current(generation="")  # none that etcd could be at
        for row in archive.rows:
            record = row.record
            key = RecordKey(record.kind, record.uid)
            value = encode(record.body, record.name, row.references)
            self._apply(Change(key, value, record.revision))
            if record.name is not None:
                self._apply(Change(NameKey(record.kind, record.name), record.uid.encode(), record.revision))
        self.filled = True

    def _apply(self, change: Change) -> bool:
        """Take one change; whether it was a record's."""
        key, value, revision = change
        self.changes += 1
        self._damaged.discard(key)
        if isinstance(key, NameKey):
            self._names.pop(key, None)
            if value is not None:
                try:
                    self._names[key] = (value.decode(), revision)
                except UnicodeDecodeError:
                    self._damaged.add(key)
            return False
        entries = self._records.setdefault(key.kind, {})
        former = entries.pop(key.uid, None)
        if former is not None:
            self._references.remove(former.stored.references)
        if value is not None:
            try:
                stored = _decode_stored(value)
                _decode_body(stored.body)  # here, where it can be told of: whoever reads it later could only fail
            except _UNREADABLE:
                self._damaged.add(key)
            else:
                entries[key.uid] = Entry(revision + self.current.base, stored)
                self._references.add(stored.references)
        if (former is None) != (key.uid not in entries):
            self._sorted.pop(key.kind, None)
        return True

    def _arrived(self, revision: int) -> None:
        self.revision = revision
        for waiter, wanted in self._waiting.items():
            if wanted <= revision and not waiter.done():
                waiter.set_result(None)

    def _keys(self) -> list[Key]:
        records = [RecordKey(kind, uid) for kind, of in self._records.items() for uid in of]
        return [*records, *self._names, *self._damaged]

    def _clear(self) -> None:
        for key in self._keys():
            self._apply(Change(key, None, 0))


def _by_key(item: tuple[RecordKey, Entry]) -> RecordKey:
    return item[0]

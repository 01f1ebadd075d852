"""A commit as one transaction of etcd: what must be unchanged since it was looked at, and what is written then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from agent.adapters.etcd.cache import Cache
from agent.adapters.etcd.keys import Key, Layout, NameKey, RecordKey, encode
from agent.adapters.etcd.wire import Body, drop, put, unchanged
from agent.adapters.refusals import expect, name_taken
from agent.ports import Change, Put

_NEW = -1
"""Stands for the revision that the commit itself will have: no caller can expect it."""


@dataclass(slots=True)
class Plan:
    """The compares and the operations, no key twice in either."""

    compare: list[Body] = field(default_factory=list)
    success: list[Body] = field(default_factory=list)


def plan(cache: Cache, layout: Layout, changes: Sequence[Change]) -> Plan:
    """What commits these changes, given what is known; raises Conflict, Stale or NotFound when nothing can.

    Changes build on each other, as a name that one of them sets free can be taken by the next.
    """
    draft = _Draft(cache)
    for change in changes:
        draft.take(change)
    generation = cache.current.generation
    made = Plan([unchanged(layout.current, cache.current_revision)])
    for key, value in draft.values():
        at, known = layout.key(generation, key), cache.changed(key)
        made.compare.append(unchanged(at, known))
        if value is not None:
            made.success.append(put(at, value))
        elif known:
            made.success.append(drop(at))
    return made


class _Draft:
    """The records and names that the changes touch, as they will be; None for what will be gone."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._records: dict[RecordKey, Put | None] = {}
        self._names: dict[NameKey, str | None] = {}

    def take(self, change: Change) -> None:
        """Add one change to those before it."""
        key = RecordKey(change.kind, change.uid)
        revision, former = self._present(key)
        expect(change, revision)
        name = change.name if isinstance(change, Put) else None
        if former is not None and former != name:
            self._names[NameKey(change.kind, former)] = None
        if isinstance(change, Put):
            if name is not None:
                self._claim(change, NameKey(change.kind, name))
            self._records[key] = change
        else:
            self._records[key] = None

    def values(self) -> list[tuple[Key, bytes | None]]:
        """Each key with its new value."""
        records: list[tuple[Key, bytes | None]] = [
            (key, None if change is None else encode(change.body, change.name, tuple(change.references)))
            for key, change in self._records.items()
        ]
        names: list[tuple[Key, bytes | None]] = [
            (key, None if uid is None else uid.encode())
            for key, uid in self._names.items()
            # A record that keeps its name: only by changing the record could the name be lost.
            if uid != self._cache.holder(key)
        ]
        return records + names

    def _present(self, key: RecordKey) -> tuple[int | None, str | None]:
        """The record's revision and name, after the changes so far."""
        if key in self._records:
            change = self._records[key]
            return (None, None) if change is None else (_NEW, change.name)
        entry = self._cache.entry(key)
        return (None, None) if entry is None else (entry.revision, entry.stored.name)

    def _claim(self, change: Put, name: NameKey) -> None:
        holder = self._names[name] if name in self._names else self._cache.holder(name)
        if holder not in (None, change.uid):
            raise name_taken(change)
        self._names[name] = change.uid

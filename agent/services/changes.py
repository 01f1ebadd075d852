"""The table of services as a stream: first the whole of it, then what changes, for any number of readers."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Any, NamedTuple

from agent.model import Service
from agent.ports import Changed, Gone, Lost, Snapshot, Unit, UnitEvent
from agent.services.units import row, short_name

MOST_DUE = 1000
"""Changes that wait for one reader; with more than these it is told the whole table again."""


class What(StrEnum):
    """The kinds of event."""

    TABLE = "table"
    """All rows, in place of what was told before."""
    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"
    LOST = "lost"
    """Systemd is not heard any more; the table follows when it is."""


class Event(NamedTuple):
    """One event: a table's rows, a row, the name of a unit that is gone, or why systemd is not heard."""

    what: What
    number: int
    """Grows with every change; what is told is as of that one."""
    data: Any


class Changes:
    """Follows the units and tells each reader what it has not been told yet."""

    def __init__(self) -> None:
        self._rows: dict[str, Service] = {}
        self._readers: set[Reader] = set()
        self.lost: str | None = "systemd's units have not been read yet"
        """Why nothing is heard of systemd; None while it is."""
        self.number = 0

    def reader(self) -> Reader:
        """One more reader, to whom the whole table is due; `close` it in the end."""
        reader = Reader(self)
        self._readers.add(reader)
        return reader

    def leave(self, reader: Reader) -> None:
        """A reader is told nothing more."""
        self._readers.discard(reader)

    def row(self, unit: str) -> Service | None:
        """A unit's row now."""
        return self._rows.get(unit)

    @property
    def rows(self) -> list[Service]:
        """The table, sorted by name."""
        return sorted(self._rows.values(), key=lambda service: service.name)

    def hear(self, event: UnitEvent) -> None:
        """Something was heard of systemd; never waits for a reader."""
        match event:
            case Snapshot(units):
                self._rows = {unit.name: row(unit) for unit in units}
                self.lost = None
                self._begin_anew()
            case Changed(unit):
                self._change(unit)
            case Gone(name):
                if self._rows.pop(name, None) is not None:
                    self._note(name, What.REMOVED)
            case Lost(reason):
                if self.lost is None:
                    self.lost = reason
                    self._begin_anew()

    def _change(self, unit: Unit) -> None:
        before, after = self._rows.get(unit.name), row(unit)
        if after != before:
            self._rows[unit.name] = after
            self._note(unit.name, What.ADDED if before is None else What.CHANGED)

    def _note(self, unit: str, what: What) -> None:
        self.number += 1
        for reader in self._readers:
            reader.note(unit, what)

    def _begin_anew(self) -> None:
        self.number += 1
        for reader in self._readers:
            reader.begin_anew()


class Reader:
    """What one reader has not been told yet: names only, so that changes of one unit that come together are one."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._all = True
        self._due: dict[str, What] = {}
        self.wake = asyncio.Event()
        """Set while there is something to take."""
        self.wake.set()

    def note(self, unit: str, what: What) -> None:
        """A unit has changed."""
        if self._all:
            return
        first = self._due.get(unit)
        self._due[unit] = What.ADDED if first is What.ADDED and what is What.CHANGED else what
        if len(self._due) > MOST_DUE:
            self.begin_anew()
        self.wake.set()

    def begin_anew(self) -> None:
        """What was told before does not count any more."""
        self._all = True
        self._due.clear()
        self.wake.set()

    def take(self) -> list[Event]:
        """What is due, as of now."""
        self.wake.clear()
        changes = self._changes
        if self._all:
            self._all = False
            if changes.lost is not None:
                return [Event(What.LOST, changes.number, {"reason": changes.lost})]
            return [Event(What.TABLE, changes.number, changes.rows)]
        due, self._due = self._due, {}
        return [self._event(unit, what) for unit, what in due.items()]

    def close(self) -> None:
        """It reads no longer."""
        self._changes.leave(self)

    def _event(self, unit: str, what: What) -> Event:
        now = self._changes.row(unit)
        if now is None:
            return Event(What.REMOVED, self._changes.number, {"name": short_name(unit), "unit": unit})
        return Event(What.CHANGED if what is What.REMOVED else what, self._changes.number, now)

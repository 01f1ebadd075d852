"""The thread that writes to the journal: nothing that journald does, or a flood of lines, stalls the event loop."""

from __future__ import annotations

import contextlib
import errno
import queue
import socket
import threading
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

from agent import journald
from agent.journald import Fields
from agent.log.throttle import Quota, Throttle

IDENTIFIER = "clusterware-head-agent"
_QUEUE = 10_000
_JOURNALD_AWAY = 1.0
"""Seconds between two tries while nobody reads the journal's socket."""
_SHORT = 256
"""Characters that are kept of each field of a line that is too long for the journal's socket."""
EACH = Quota(10, 60.0)
"""Of one event about one thing: a unit, a head, a caller."""
_ALL = Quota(200, 60.0)
"""Of one event, whatever it is about: a stranger may have many addresses."""
_ABOUT = (
    "audit",
    "unit",
    "head_uid",
    "peer",
    "token_id",
    "local_uid",
    "loop",
    "library",
    "kind",
    "object",
    "filename",
    "lock",
)
LOST = "Log lines were lost: the journal did not keep up"
HELD = "Log lines held back: too many of one kind"


@dataclass(frozen=True, slots=True)
class Line:
    """What is to be written; `quota` is None for what is written however often it comes."""

    event: str
    level: str
    about: Mapping[str, str]
    fields: Fields
    quota: Quota | None = EACH

    @classmethod
    def of(cls, event: str, level: str, facts: Mapping[str, Any], fields: Fields, quota: Quota | None) -> Line:
        """A line of an event with these facts."""
        about = {name: str(facts[name])[: journald.LONGEST] for name in _ABOUT if facts.get(name) is not None}
        return cls(event, level, about, fields, quota)

    @property
    def kind(self) -> Hashable:
        """Lines of one kind share a quota."""
        return self.event, *self.about.items()


class JournalWriter:
    """Sends to the journal from a thread of its own.

    It speaks the journal's protocol itself: systemd-python keeps the interpreter's lock while it waits for journald.
    At most `_QUEUE` lines wait; what does not fit is counted, and the count is logged when there is room again.
    """

    def __init__(self, journal: str) -> None:
        self._journal = journal
        self._lines: queue.Queue[Line | None] = queue.Queue(_QUEUE)
        self._kinds: Throttle[Line] = Throttle()
        self._events: Throttle[Line] = Throttle()
        """Apart from the kinds: strangers choose how many of these there are, and so which are let go."""
        self.lost = 0
        """How many lines did not reach the journal."""
        self._told = 0
        """How many of them it has been told of."""
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._write, name="journal", daemon=True)
        self._thread.start()

    def put(self, line: Line) -> None:
        """Have it written; never waits."""
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self.lost += 1

    def close(self) -> None:
        """Write out what waits, for at most some seconds."""
        with contextlib.suppress(queue.Full):
            self._lines.put(None, timeout=1.0)
        self._thread.join(2.0)
        self._closing.set()
        self._thread.join(2.0)

    def _write(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.settimeout(_JOURNALD_AWAY)
            while True:
                try:
                    line = self._lines.get(timeout=self._until_due(monotonic()))
                except queue.Empty:
                    self._tell_held(sock, monotonic())
                    continue
                if line is None:
                    break
                try:
                    if self._admits(line):
                        self._write_one(sock, line.fields)
                except Exception:  # noqa: BLE001  a line that meets a bug must not be the last one for ever
                    self.lost += 1
            self._tell_held(sock, float("inf"))

    def _admits(self, line: Line) -> bool:
        if line.quota is None:
            return True
        now = monotonic()
        each = self._kinds.admits(line.kind, line.quota, line, now)
        return each and self._events.admits(line.event, _ALL, line, now)

    def _until_due(self, now: float) -> float | None:
        """Seconds until something that was held back is to be told, None while nothing is."""
        return min((wait for held in (self._kinds, self._events) if (wait := held.wait(now)) is not None), default=None)

    def _tell_held(self, sock: socket.socket, until: float) -> None:
        """Tell of what was held back until then; of a kind with what it is about, of an event with nobody's name."""
        for line, number in self._kinds.due(until):
            told = _held(line, number, line.about)
            if self._events.admits(HELD, _ALL, told, monotonic()):
                self._write_one(sock, told.fields)
        for line, number in self._events.due(until):
            audit = {name: value for name, value in line.about.items() if name == "audit"}
            self._write_one(sock, _held(line, number, audit).fields)

    def _write_one(self, sock: socket.socket, fields: Fields) -> None:
        if not self._send(sock, fields):
            self.lost += 1
        elif self.lost > self._told and self._lines.empty():
            count, self._told = self.lost - self._told, self.lost
            self._send(sock, journald.line(LOST, "warning", {"count": count}, IDENTIFIER))

    def _send(self, sock: socket.socket, fields: Fields) -> bool:
        """Send one line, True when it went; while journald does not read, hold it back, and with it those that wait."""
        while not self._closing.is_set():
            try:
                sock.sendto(journald.datagram(fields), self._journal)
            except TimeoutError:
                continue
            except ConnectionRefusedError:
                self._closing.wait(_JOURNALD_AWAY)
            except OSError as err:
                shorter = [(name, value[:_SHORT]) for name, value in fields]
                if err.errno != errno.EMSGSIZE or shorter == fields:
                    return False
                fields = shorter
            else:
                return True
        return False


def _held(last: Line, number: int, about: Mapping[str, str]) -> Line:
    """The line that tells of so many that were held back; `last` is the last of them."""
    facts = {"held": last.event, "count": number, **about}
    return Line(HELD, last.level, about, journald.line(HELD, last.level, facts, IDENTIFIER))

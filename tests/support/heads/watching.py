"""Watching live heads closely: what each of them says of each other, and when it came to say so.

Every head's GET /heads is asked over its Unix socket again and again; what changed is kept with the moment, by the
one monotonic clock of this machine, so that it can be held against the moment of a fault.
"""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.support.heads.head import SOCKET, Head, wait_for

Scope = tuple[str, str]
"""Who says it, by name; of whom, by uid."""


class Change(NamedTuple):
    """At that moment `observer` (a name) came to say `state` of `subject` (a uid)."""

    at: float
    observer: str
    subject: str
    state: str


STANDING = "standing"
"""The subject under which a head's own standing is kept."""
ANSWERS = "answers"
"""The subject under which it is kept whether a head answers: `yes`, or the code of what it says instead."""


@dataclass(slots=True)
class Watched:
    """What was seen so far."""

    changes: list[Change] = field(default_factory=list)
    now: dict[Scope, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def first(self, observer: Head, subject: str, state: str, after: float) -> float | None:
        """When that head first came to say so, not before `after`; `after` itself when it said so already then."""
        found = None
        with self._lock:
            for change in self.changes:
                if (change.observer, change.subject) != (observer.name, subject):
                    continue
                if change.at <= after:
                    found = after if change.state == state else None
                elif change.state == state and found is None:
                    return change.at
        return found

    def took(self, observers: Iterable[Head], subject: str, state: str, since: float, within: float) -> list[float]:
        """Seconds from `since` until each observer said so, sorted; raises TimeoutError."""
        observers = list(observers)

        def all_of_them() -> list[float] | None:
            found = [self.first(observer, subject, state, since) for observer in observers]
            moments = [moment for moment in found if moment is not None]
            return moments if len(moments) == len(observers) else None

        left = since + within - time.monotonic()
        names = ", ".join(observer.name for observer in observers)
        moments = wait_for(all_of_them, f"{names} to say {state} of {subject}: {self.now}", left)
        return sorted(moment - since for moment in moments)

    def said(self, states: Iterable[str], after: float, of: Iterable[str] | None = None) -> list[Change]:
        """Every time that one of these states was said after a moment, of any head or of these uids."""
        words, uids = frozenset(states), None if of is None else frozenset(of)
        with self._lock:
            return [
                c for c in self.changes if c.at > after and c.state in words and (uids is None or c.subject in uids)
            ]

    def note(self, observer: str, told: dict[str, str]) -> None:
        """Take in what a head says now, by subject."""
        moment = time.monotonic()
        with self._lock:
            for subject, state in told.items():
                if self.now.get((observer, subject)) != state:
                    self.now[observer, subject] = state
                    self.changes.append(Change(moment, observer, subject, state))


@contextmanager
def watching(heads: Iterable[Head], every: float = 0.02) -> Iterator[Watched]:
    """Watch these heads, each in a thread of its own, asking `every` so many seconds."""
    seen, ended = Watched(), threading.Event()
    threads = [threading.Thread(target=_watch, args=(head, seen, every, ended)) for head in heads]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def _watch(head: Head, seen: Watched, every: float, ended: threading.Event) -> None:
    with _Asking(head) as ask:
        while not ended.wait(every):
            seen.note(head.name, ask())


class _Asking:
    """One connection to a head's socket, opened anew when it breaks."""

    def __init__(self, head: Head) -> None:
        self._head = head
        self._connection = http.client.HTTPConnection("head", timeout=2)

    def __enter__(self) -> Callable[[], dict[str, str]]:
        return self._ask

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def _ask(self) -> dict[str, str]:
        try:
            if self._connection.sock is None:
                self._connect()
            self._connection.request("GET", "/api/v1/heads")
            return _told(json.loads(self._connection.getresponse().read()))
        except (OSError, http.client.HTTPException, ValueError) as err:
            self._connection.close()
            return {ANSWERS: type(err).__name__}

    def _connect(self) -> None:
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.settimeout(2)
            sock.connect(str(self._head.path(SOCKET)))
        except BaseException:
            sock.close()
            raise
        self._connection.sock = sock


def _told(envelope: dict[str, Any]) -> dict[str, str]:
    if not envelope["success"]:
        return {ANSWERS: envelope["code"]}
    states = {uid: head["state"] for uid, head in envelope["data"].items()}
    return {**states, STANDING: envelope["meta"]["standing"], ANSWERS: "yes"}

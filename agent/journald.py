"""Lines as journald takes them: an event's fixed id, its facts as fields, the datagram.

The protocol is systemd.io/JOURNAL_NATIVE_PROTOCOL. Standard library only: the operator's command logs too, and so does
a start that has loaded nothing else yet.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any
from uuid import UUID, uuid5

SOCKET = "/run/systemd/journal/socket"
PRIORITY = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2, "exception": 3}
LONGEST = 2048
"""Characters that are kept of a value."""
MANY = 64
"""Values that are kept of a list."""
PATIENCE = 1.0
"""Seconds that a journal which does not read may hold up who sends at once."""
_NAMESPACE = UUID("5d1f3f0c-3c53-4f1e-9d0b-6c1f0a4f7f52")
_UNSAID = frozenset({"audit", "object_systemd_unit"})
"""Facts that are fields only, and not in the text."""

Fields = list[tuple[str, str]]
"""Names and values; a name that comes again is a field with several values."""


@lru_cache(1024)
def message_id(event: str) -> str:
    """The MESSAGE_ID of an event, 32 hex digits: fixed for ever by the event's text, which therefore never changes."""
    return uuid5(_NAMESPACE, event).hex


def line(event: str, level: str, facts: Mapping[str, Any], identifier: str, trace: str | None = None) -> Fields:
    """An event with its facts as fields; MESSAGE reads like a line on a terminal."""
    known = {key: value for key, value in facts.items() if value is not None}
    said = " ".join([event, *(f"{key}={_shown(value)}" for key, value in known.items() if key not in _UNSAID)])
    fields = [(_name(key), value) for key, given in known.items() for value in _values(given)]
    fields.append(("MESSAGE", f"{said}\n{_text(trace)}" if trace else said))
    fields.append(("PRIORITY", str(PRIORITY.get(level, 6))))
    fields.append(("SYSLOG_IDENTIFIER", identifier))
    if level != "debug":
        fields.append(("MESSAGE_ID", message_id(event)))
    return fields


def datagram(fields: Iterable[tuple[str, str]]) -> bytes:
    """The fields as one datagram to `SOCKET`."""
    parts = []
    for name, value in fields:
        data = value.encode()
        if b"\n" in data:
            parts.append(b"%s\n%s%s\n" % (name.encode(), len(data).to_bytes(8, "little"), data))
        else:
            parts.append(b"%s=%s\n" % (name.encode(), data))
    return b"".join(parts)


def is_read() -> bool:
    """Whether what this process says on standard error goes to the journal (systemd.exec(5), JOURNAL_STREAM).

    Also where journald was away as systemd started this process: it then has standard error lead nowhere, and all
    that is said until the next start would be lost.
    """
    device, _, inode = os.environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        status, nowhere = os.fstat(sys.stderr.fileno()), os.stat(os.devnull)
    except (OSError, ValueError):
        return False
    if (device, inode) == (str(status.st_dev), str(status.st_ino)):
        return True
    # By its number: the sandbox has a /dev/null of its own, and this one was opened before.
    return status.st_rdev == nowhere.st_rdev and os.environ.get("SYSTEMD_EXEC_PID") == str(os.getpid())


def send(fields: Fields, path: str = SOCKET) -> None:
    """Send a line at once; one that does not go within `PATIENCE`, or has nowhere to go, is lost."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(PATIENCE)
        sock.sendto(datagram(fields), path)


def _name(key: str) -> str:
    """A field's name: upper case, and never with the leading underscore that only journald may set."""
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in key.upper()).lstrip("_0123456789")[:64] or "X"


def _values(given: Any) -> list[str]:
    """What was given as the values of a field: one, or as many as a list has."""
    several = list(given) if isinstance(given, list | tuple | set | frozenset) else [given]
    return [_cut(_text(value)) for value in several[:MANY]]


def _shown(given: Any) -> str:
    """On one line and printable: what a stranger sent must neither break the line nor hide it from journalctl."""
    if isinstance(given, list | tuple | set | frozenset):
        several = list(given)
        more = f",... ({len(several)})" if len(several) > MANY else ""
        return f"[{','.join(map(_shown, several[:MANY]))}{more}]"
    text = _cut(str(given))
    plain = text.isprintable() and not any(c.isspace() or c == '"' for c in text)
    return text if text and plain else repr(text)


def _text(value: Any) -> str:
    """As text that UTF-8 can hold: the name of a file may be bytes that are none."""
    return str(value).encode(errors="backslashreplace").decode()


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."

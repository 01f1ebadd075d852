"""Logging: structlog to the journal with fields, or plain readable lines on a terminal. Nothing else sets it up."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import queue
import socket
import sys
import threading
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from functools import lru_cache
from typing import Any
from uuid import UUID, uuid5

import structlog
from typing_extensions import override

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request that is being answered; on every line that is logged meanwhile."""

_PRIORITY = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2, "exception": 3}
_NAMESPACE = UUID("5d1f3f0c-3c53-4f1e-9d0b-6c1f0a4f7f52")
_QUEUE = 10_000
_JOURNALD_AWAY = 1.0
"""Seconds between two tries while nobody reads the journal's socket."""
_JOURNAL = "/run/systemd/journal/socket"
_LONGEST = 2048
"""Characters that are kept of each field of a line that is too long for the journal's socket."""


@lru_cache(1024)
def message_id(event: str) -> str:
    """The MESSAGE_ID of an event, 32 hex digits: fixed for ever by the event's text, which therefore never changes."""
    return uuid5(_NAMESPACE, event).hex


class _JournalWriter:
    """Sends to the journal from a thread of its own, so that a journald that is stuck cannot stall the event loop.

    It speaks the journal's protocol itself: systemd-python keeps the interpreter's lock while it waits for journald.
    At most `_QUEUE` lines wait; what does not fit is counted, and the count is logged when there is room again.
    """

    def __init__(self, journal: str) -> None:
        self._journal = journal
        self._lines: queue.Queue[dict[str, str] | None] = queue.Queue(_QUEUE)
        self._lost = 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._write, name="journal", daemon=True)
        self._thread.start()

    def put(self, fields: dict[str, str]) -> None:
        try:
            self._lines.put_nowait(fields)
        except queue.Full:
            self._lost += 1

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
            while (fields := self._lines.get()) is not None:
                if not self._send(sock, fields):
                    self._lost += 1
                elif self._lost and self._lines.empty():
                    lost, self._lost = self._lost, 0
                    text = "Log lines were lost: the journal did not keep up"
                    self._send(sock, {"MESSAGE": text, "PRIORITY": "4", "LOST": str(lost)})

    def _send(self, sock: socket.socket, fields: dict[str, str]) -> bool:
        """Send one line, True when it went; while journald does not read, hold it back, and with it those that wait."""
        while not self._closing.is_set():
            try:
                sock.sendto(datagram(fields), self._journal)
            except TimeoutError:
                continue
            except ConnectionRefusedError:
                self._closing.wait(_JOURNALD_AWAY)
            except OSError as err:
                shorter = {name: value[:_LONGEST] for name, value in fields.items()}
                if err.errno != errno.EMSGSIZE or shorter == fields:
                    return False
                fields = shorter
            else:
                return True
        return False


def datagram(fields: Mapping[str, str]) -> bytes:
    """A line as journald takes it: systemd.io/JOURNAL_NATIVE_PROTOCOL."""
    parts = []
    for name, value in fields.items():
        data = value.encode()
        if b"\n" in data:
            parts.append(b"%s\n%s%s\n" % (name.encode(), len(data).to_bytes(8, "little"), data))
        else:
            parts.append(b"%s=%s\n" % (name.encode(), data))
    return b"".join(parts)


def _add_request_id(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if (request_id := REQUEST_ID.get()) is not None:
        event.setdefault("request_id", request_id)
    return event


def _field(name: str) -> str:
    """A journal field's name: upper case, and never one with the leading underscore that only journald may set."""
    return "".join(c if c.isalnum() else "_" for c in name.upper()).lstrip("_0123456789")[:64]


class _JournalRenderer:
    """Turns an event into the journal's fields; MESSAGE reads like the console line."""

    def __init__(self, writer: _JournalWriter) -> None:
        self._writer = writer

    def __call__(self, _: Any, method: str, event: MutableMapping[str, Any]) -> str:
        text = str(event.pop("event", ""))
        level = str(event.pop("level", method))
        trace = event.pop("exception", None)
        fields = {_field(key): _text(value) for key, value in event.items() if value is not None}
        detail = " ".join(f"{key}={_shown(value)}" for key, value in event.items() if value is not None)
        message = f"{text} {detail}".strip()
        fields.update(
            MESSAGE=_text(f"{message}\n{trace}" if trace else message),
            PRIORITY=str(_PRIORITY.get(level, 6)),
            SYSLOG_IDENTIFIER="clusterware-head-agent",
        )
        if level != "debug":
            fields["MESSAGE_ID"] = message_id(text)
        self._writer.put(fields)
        raise structlog.DropEvent


def _text(value: Any) -> str:
    """As text that UTF-8 can hold: the name of a file may be bytes that are none."""
    return str(value).encode(errors="backslashreplace").decode()


def _shown(value: Any) -> str:
    """On one line and printable: what a stranger sent must neither break the line nor hide it from journalctl."""
    text = str(value)
    plain = text.isprintable() and not any(c.isspace() or c == '"' for c in text)
    return text if text and plain else repr(text)


class _Forward(logging.Handler):
    """Lines of the libraries, such as asyncio's warnings, through the same pipe."""

    @override
    def emit(self, record: logging.LogRecord) -> None:
        exc_info = record.exc_info if record.exc_info and record.exc_info[0] else None
        structlog.get_logger().log(
            record.levelno, "Library message", source=record.name, text=record.getMessage(), exc_info=exc_info
        )


def under_journal() -> bool:
    """Whether standard error goes to the journal (systemd.exec(5), JOURNAL_STREAM)."""
    device, _, inode = os.environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        status = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return (device, inode) == (str(status.st_dev), str(status.st_ino))


class Logging:
    """The process's logging, set up once; `close` writes out what waits."""

    def __init__(self, level: str, style: str, journal: str = _JOURNAL) -> None:
        self._writer: _JournalWriter | None = None
        if style == "journal" or (style == "auto" and under_journal()):
            self._writer = _JournalWriter(journal)
        handler = _Forward()
        logging.root.handlers[:] = [handler]
        logging.root.setLevel(logging.WARNING)
        logging.captureWarnings(capture=True)
        self.set_level(level)

    def set_level(self, level: str) -> None:
        """Keep lines of this level and above."""
        shared: list[structlog.typing.Processor] = [
            structlog.processors.add_log_level,
            _add_request_id,
            structlog.processors.format_exc_info,
        ]
        if self._writer is not None:
            last: list[structlog.typing.Processor] = [_JournalRenderer(self._writer)]
        else:
            colors = sys.stderr.isatty() and "NO_COLOR" not in os.environ
            stamp = structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)
            last = [stamp, structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=0)]
        structlog.configure(
            processors=[*shared, *last],
            wrapper_class=structlog.make_filtering_bound_logger(level),
            logger_factory=structlog.PrintLoggerFactory(sys.stderr),
            cache_logger_on_first_use=False,
        )

    def close(self) -> None:
        """Write out what waits."""
        if self._writer is not None:
            self._writer.close()

"""Logging: structlog to the journal with fields, or plain readable lines on a terminal. Nothing else sets it up."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping, MutableMapping
from contextvars import Context, ContextVar
from typing import Any, ParamSpec, TypeVar

import structlog
from typing_extensions import override

from agent import journald
from agent.log.throttle import Quota
from agent.log.writer import EACH, IDENTIFIER, JournalWriter, Line

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request that is being answered; on every line that is logged meanwhile."""
CALLER: ContextVar[Mapping[str, Any]] = ContextVar("caller", default={})  # noqa: B039  never changed, only replaced
"""Who asked for what is being done: on every audit line of it; its `peer` is a field of every line of it."""

P = ParamSpec("P")
R = TypeVar("R")

_RARELY = {"Request passed on between heads": Quota(1, 600.0)}
"""Events that a command repeats for as long as it watches something."""


def unasked(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Do what is no part of the request in which it happens to begin: its lines name neither that nor who asked.

    What it starts, such as tasks and timers, is nobody's either.
    """
    return Context().run(work, *args, **kwargs)


def add_request(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add the request's id and, to an audit line, who asked; what nobody asked for is no audit line."""
    if (request_id := REQUEST_ID.get()) is not None:
        event.setdefault("request_id", request_id)
    if "audit" in event:
        caller = CALLER.get()
        if not caller:
            del event["audit"]
        for name, value in caller.items():
            event.setdefault(name, value)
    return event


class _JournalRenderer:
    """Turns an event into the journal's fields, and adds those that need not be read: HEAD_UID and PEER."""

    def __init__(self, writer: JournalWriter, head_uid: str | None) -> None:
        self._writer = writer
        self._head_uid = head_uid

    def __call__(self, _: Any, method: str, event: MutableMapping[str, Any]) -> str:
        text = str(event.pop("event", ""))
        level = str(event.pop("level", method))
        trace = event.pop("exception", None)
        fields = journald.line(text, level, event, IDENTIFIER, trace)
        if event.get("head_uid") is None and self._head_uid is not None:
            fields.append(("HEAD_UID", self._head_uid))
        if event.get("peer") is None and (peer := CALLER.get().get("peer")) is not None:
            fields.append(("PEER", str(peer)))
        kept = level == "debug" or (event.get("audit") and event.get("result") not in ("denied", "refused"))
        quota = None if kept else _RARELY.get(text, EACH)
        self._writer.put(Line.of(text, level, event, fields, quota))
        raise structlog.DropEvent


class _Forward(logging.Handler):
    """Lines of the libraries, such as asyncio's warnings, through the same pipe."""

    @override
    def emit(self, record: logging.LogRecord) -> None:
        exc_info = record.exc_info if record.exc_info and record.exc_info[0] else None
        structlog.get_logger().log(
            record.levelno, "Library message", library=record.name, text=record.getMessage(), exc_info=exc_info
        )


class Logging:
    """The process's logging, set up once; `close` writes out what waits."""

    def __init__(self, level: str, style: str, journal: str = journald.SOCKET, *, head_uid: str | None = None) -> None:
        """`head_uid`: this head, the one that a line is about unless it names another."""
        self._head_uid = head_uid
        self._writer: JournalWriter | None = None
        if style == "journal" or (style == "auto" and journald.is_read()):
            self._writer = JournalWriter(journal)
        handler = _Forward()
        logging.root.handlers[:] = [handler]
        logging.root.setLevel(logging.WARNING)
        logging.captureWarnings(capture=True)
        self.set_level(level)

    def set_level(self, level: str) -> None:
        """Keep lines of this level and above."""
        shared: list[structlog.typing.Processor] = [
            structlog.processors.add_log_level,
            add_request,
            structlog.processors.format_exc_info,
        ]
        if self._writer is not None:
            last: list[structlog.typing.Processor] = [_JournalRenderer(self._writer, self._head_uid)]
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

    @property
    def lost(self) -> int:
        """How many lines the journal has not taken since the start."""
        return self._writer.lost if self._writer is not None else 0

    def close(self) -> None:
        """Write out what waits."""
        if self._writer is not None:
            self._writer.close()

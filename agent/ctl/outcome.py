"""What a command comes to: what it would do, and what it has found or done; shown in one place for all commands."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any, NamedTuple


class Exit(IntEnum):
    """The exit statuses of cw-headctl."""

    OK = 0
    FAILED = 1
    USAGE = 2
    DEGRADED = 3
    UNREACHABLE = 4
    DENIED = 5


class Failure(Exception):
    """A command that cannot be done: one line that says what, why and what to do, and the exit status."""

    def __init__(self, text: str, status: Exit = Exit.FAILED) -> None:
        super().__init__(text)
        self.status = status


class Outcome(NamedTuple):
    """What a command has found or done: data for programs, a table and lines for people, the exit status."""

    data: Any
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = ()
    empty: str = ""
    """What is said in place of a table without rows."""
    lines: Sequence[str] = ()
    """What is said after the table, sentence by sentence."""
    exit: Exit = Exit.OK
    before: Sequence[str] = ()
    """What is said before the table."""


class Plan(NamedTuple):
    """What a command would do, to be shown and agreed to before it is done."""

    doing: str
    """Completes "cannot ...", as "remove the unused files"."""
    data: Any
    """The plan for programs (--dry-run --json), and for the function that then does it: `arguments.plan`."""
    lines: Sequence[str]
    """What would happen, with counts and bytes."""
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = ()
    word: str | None = None
    """What a person has to type where y is too easily typed."""
    by_program: bool = False
    """Whether it is done without --yes off a terminal, as programs have had it since before anybody was asked."""

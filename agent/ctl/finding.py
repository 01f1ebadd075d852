"""A finding as people and programs read it, whether the agent made it or this command itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

LEVELS = ("failed", "warning", "ok")
"""The worst first."""
_INDENT = 9
_PIECE = re.compile(r"`[^`]*`\S*|\S+")


class Finding(NamedTuple):
    """What one check says of one subject; `todo` is the next step, None where there is none to take."""

    check: str
    level: str
    subject: str
    detail: str
    todo: str | None = None

    @classmethod
    def of(cls, told: dict[str, Any]) -> Finding:
        """One as the agent tells it; words of a later version are taken as they are."""
        level = told.get("level")
        return cls(
            str(told.get("check")),
            level if level in LEVELS else "warning",
            str(told.get("subject")),
            str(told.get("detail")),
            told.get("todo"),
        )


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """The worst first, otherwise as they come."""
    return sorted(findings, key=lambda finding: LEVELS.index(finding.level))


def lines(findings: Sequence[Finding], width: int | None) -> list[str]:
    """Each finding and, below it, what to do; folded at `width`."""
    told: list[str] = []
    for finding in findings:
        what = f"{finding.check}, {finding.subject}: {finding.detail}"
        told += _folded(f"{finding.level:<{_INDENT - 1}} ", what, width)
        if finding.todo:
            told += _folded(f"{'':<{_INDENT}}-> ", finding.todo, width)
    return told


def _folded(head: str, text: str, width: int | None) -> list[str]:
    """The text behind its head, folded at spaces; a command stays in one piece, to be copied, where it fits."""
    if width is None or len(head) + len(text) <= width:
        return [head + text]
    done, line = [], head
    for word in _words(text, width - len(head)):
        if line.strip() and line != head and len(line) + 1 + len(word) > width:
            done.append(line)
            line = " " * len(head)
        line += word if not line.strip() or line == head else f" {word}"
    return [*done, line]


def _words(text: str, width: int) -> Iterator[str]:
    for piece in _PIECE.findall(text):
        yield from [piece] if len(piece) <= width else piece.split()

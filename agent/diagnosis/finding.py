"""A finding: how one thing is, and what to do where it is not as it should be. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

_PATH = re.compile(r"(?<![\w:/.~-])/[^\s,;:()'\"`]+")
"""An absolute path; not the one of a URL, nor what stands between two words."""
_THERE = "(a path of that head)"


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    """It works, and will not for ever, or not as well as it should."""
    FAILED = "failed"
    """Something does not work now."""


_WORST_FIRST = (Level.FAILED, Level.WARNING, Level.OK)


class Finding(Struct, frozen=True):
    """What one check says of one subject; `todo` is the next step, None where there is none to take."""

    check: str
    level: Level
    subject: str
    detail: str
    todo: str | None = None


def ok(check: str, subject: str, detail: str) -> Finding:
    """That something is as it should be."""
    return Finding(check, Level.OK, subject, detail)


def warning(check: str, subject: str, detail: str, todo: str) -> Finding:
    """That something will need somebody."""
    return Finding(check, Level.WARNING, subject, detail, todo)


def failed(check: str, subject: str, detail: str, todo: str) -> Finding:
    """That something does not work now."""
    return Finding(check, Level.FAILED, subject, detail, todo)


def worst(findings: Iterable[Finding]) -> Level:
    """The level of the worst; of none, ok."""
    return min((finding.level for finding in findings), key=_WORST_FIRST.index, default=Level.OK)


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """The worst first, otherwise as they come; where several say the same of one subject, the first of them.

    A cause has one sentence wherever it shows: a loop that fails for want of the database quotes the database's.
    """
    ordered = sorted(findings, key=lambda finding: _WORST_FIRST.index(finding.level))
    kept: dict[tuple[str, str], Finding] = {}
    for finding in ordered:
        kept.setdefault((finding.subject, finding.detail), finding)
    return [finding for finding in ordered if kept[finding.subject, finding.detail] is finding or _is_ok(finding)]


def _is_ok(finding: Finding) -> bool:
    return finding.level is Level.OK


def for_others(findings: Sequence[Finding]) -> list[Finding]:
    """The same for whoever asks over the network: without the paths of this head."""
    return [
        replace(
            finding,
            subject=_without_paths(finding.subject),
            detail=_without_paths(finding.detail),
            todo=_without_paths(finding.todo) if finding.todo else None,
        )
        for finding in findings
    ]


def _without_paths(text: str) -> str:
    return _PATH.sub(_THERE, text)


def days(seconds: float) -> str:
    """A duration for people, in the unit that fits."""
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if abs(seconds) >= size:
            count = int(seconds / size)
            return f"{count} {unit}{'' if abs(count) == 1 else 's'}"
    return f"{abs(seconds):.0f} s"


def amount(size: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"

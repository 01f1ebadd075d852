"""How outcomes are shown: columns for people, JSON for programs."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from agent.ctl.outcome import Outcome
from agent.ctl.terminal import colour, is_coloured, plain, width

_COLOURS = {
    "up": "green",
    "ok": "green",
    "down": "red",
    "failed": "red",
    "timeout": "red",
    "bad": "red",
    "suspect": "yellow",
    "unknown": "yellow",
    "warning": "yellow",
}
"""What stands out, in columns that tell a state."""
_TOLD_BY = ("state", "status", "result")
_LEVELS = ("failed", "warning", "ok")
_NARROWEST = 8
_GAP = "  "
_AGES = (("d", 86400), ("h", 3600), ("m", 60))


def show(outcome: Outcome, *, as_json: bool, out: TextIO | None = None) -> None:
    """Print an outcome, as wide as the terminal allows."""
    out = out or sys.stdout
    if as_json:
        print(json_text(outcome.data, indent=2), file=out)
        return
    for line in text(outcome, width(out), coloured=is_coloured(out)):
        print(line, file=out)


def text(outcome: Outcome, columns: int | None, *, coloured: bool, now: float | None = None) -> list[str]:
    """The lines that people see at `now`, none with anything that a terminal would obey but our own colours."""
    now = time.time() if now is None else now
    lines = _table(outcome.columns, outcome.rows, columns, now, coloured=coloured) if outcome.rows else []
    if not outcome.rows and outcome.empty:
        lines.append(plain(outcome.empty))
    before, after = ([_line(line, coloured=coloured) for line in part] for part in (outcome.before, outcome.lines))
    return [*before, *lines, *after]


def _line(line: str, *, coloured: bool) -> str:
    """A line; where it begins with a finding's level, that stands out."""
    told = plain(line)
    level = told.partition(" ")[0]
    return colour(level, _COLOURS[level]) + told[len(level) :] if coloured and level in _LEVELS else told


def json_text(value: Any, indent: int | None = None) -> str:
    """A value as JSON in ASCII, so that nothing in it disturbs a terminal either."""
    import json  # here, as people hardly ever want it

    return json.dumps(value, indent=indent).replace("\x7f", "\\u007f")


def sentence(text: str) -> str:
    """What the agent says in lower case, as a sentence of its own."""
    return f"{text[:1].upper()}{text[1:]}."


def bytes_text(amount: int) -> str:
    """An amount of bytes as people read it."""
    size = float(amount)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def count(amount: int, noun: str) -> str:
    """A number of things, in the singular where it is one."""
    return f"{amount} {noun}" if amount == 1 else f"{amount} {noun}s"


def _table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], total: int | None, now: float, *, coloured: bool
) -> list[str]:
    lines = [[column.upper() for column in columns], *([_cell(value) for value in row] for row in rows)]
    widths = _widths(lines)
    if total is not None and sum(widths) > (room := total - len(_GAP) * (len(widths) - 1)):
        lines = [[_age(cell, now) or cell for cell in line] for line in lines]
        widths = narrowed(_widths(lines), [max(len(name), _NARROWEST) for name in columns], room)
    told = []
    for number, line in enumerate(lines):
        cells = [_fit(cell, width) for cell, width in zip(line, widths, strict=True)]
        cells[-1] = cells[-1].rstrip()
        if coloured:
            cells = [_coloured(cell, columns[i], head=number == 0) for i, cell in enumerate(cells)]
        told.append(_GAP.join(cells).rstrip())
    return told


def _widths(lines: Sequence[Sequence[str]]) -> list[int]:
    return [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]


def _age(cell: str, now: float) -> str | None:
    """A time in as few letters as a narrow terminal has room for; None of what is no time."""
    if len(cell) != len("2026-11-24T00:00:00.000Z") or cell[-1] != "Z":
        return None
    import calendar  # only where times have to be shortened

    try:
        then = calendar.timegm(time.strptime(cell[:19] + cell[23:], "%Y-%m-%dT%H:%M:%SZ"))
    except ValueError:
        return None
    age = max(0, int(now - then))
    amount, unit = next(((age // size, unit) for unit, size in _AGES if age >= 2 * size), (age, "s"))
    return f"{amount}{unit} ago"


def narrowed(widths: Sequence[int], least: Sequence[int], total: int) -> list[int]:
    """Widths whose sum is at most `total`, if that can be: the widest give way, but never the first, to be copied."""
    left = list(widths)
    while sum(left) > total:
        giving = [i for i in range(1, len(left)) if left[i] > least[i]]
        if not giving:
            break
        widest = max(giving, key=lambda i: left[i])
        left[widest] -= 1
    return left


def _fit(cell: str, width: int) -> str:
    return cell.ljust(width) if len(cell) <= width else f"{cell[: width - 1]}…"


def _coloured(cell: str, column: str, *, head: bool) -> str:
    if head:
        return colour(cell, "bold")
    return colour(cell, _COLOURS.get(cell.strip()) if column in _TOLD_BY else None)


def _cell(value: Any) -> str:
    return "-" if value is None else plain(str(value))

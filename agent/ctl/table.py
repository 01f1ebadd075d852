"""Tables: columns as wide as what stands in them; on a narrow terminal no more of them than it has room for."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from agent.ctl.terminal import colour, plain

COLOURS = {
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
_NARROWEST = 8
_KEY = 32
"""What names a row has so many columns, or half the terminal: a uid must be whole to be copied."""
_GAP = "  "
_AGES = (("d", 86400), ("h", 3600), ("m", 60))


def table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], total: int | None, now: float, *, coloured: bool
) -> list[str]:
    """The lines of a table that fits `total` columns, None for as many as it likes; ages are as of `now`.

    What names a row (the first column, and the one behind the head) is never cut: a longer one breaks its own line.
    """
    lines = [[column.upper() for column in columns], *([_cell(value) for value in row] for row in rows)]
    widths = _widths(lines)
    keys = 2 if columns[0] == "head" else 1
    if total is not None and _sum(widths) > total:
        lines = [[_age(cell, now) or cell for cell in line] for line in lines]
        widths = fitted(_widths(lines), [len(name) for name in columns], total, keys)
    told = []
    for number, line in enumerate(lines):
        parts = [_fit(cell, width, whole=i < keys) for i, (cell, width) in enumerate(zip(line, widths, strict=False))]
        parts[-1] = parts[-1].rstrip()
        if coloured:
            parts = [_coloured(part, columns[i], head=number == 0) for i, part in enumerate(parts)]
        told.append(_GAP.join(parts).rstrip())
    if left := columns[len(widths) :]:
        told.append(f"No room here for: {', '.join(left)}.")
    return told


def fitted(widths: Sequence[int], names: Sequence[int], total: int, keys: int) -> list[int]:
    """The widths of as many columns as fit, at least one behind the `keys`; `names` are the widths of their names."""
    own = [min(width, max(total // 2, _KEY)) for width in widths[:keys]]
    least = own + [min(widths[i], max(names[i], _NARROWEST)) for i in range(keys, len(widths))]
    shown = len(least)
    while shown > keys + 1 and _sum(least[:shown]) > total:
        shown -= 1
    room = total - len(_GAP) * (shown - 1)
    left = narrowed([*own, *widths[keys:shown]], least[:shown], room, keys)
    if (over := sum(left) - room) > 0:
        left[keys - 1] = max(min(left[keys - 1], _NARROWEST), left[keys - 1] - over)
    return left


def narrowed(widths: Sequence[int], least: Sequence[int], total: int, keys: int = 1) -> list[int]:
    """Widths whose sum is at most `total`, if that can be: the widest give way, but never the `keys`, to be copied."""
    left = list(widths)
    while sum(left) > total:
        giving = [i for i in range(keys, len(left)) if left[i] > least[i]]
        if not giving:
            break
        widest = max(giving, key=lambda i: left[i])
        left[widest] -= 1
    return left


def cells(text: str) -> int:
    """How many columns of a terminal the text takes: two for each letter of East Asia, none for what combines."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width  # only for such text

    return sum(0 if combining(c) else 2 if east_asian_width(c) in ("W", "F") else 1 for c in text)


def _fit(cell: str, width: int, *, whole: bool) -> str:
    if (taken := cells(cell)) <= width or whole:
        return cell + " " * (width - taken)
    while cells(cell) > width - 1:
        cell = cell[:-1]
    return f"{cell}…{' ' * (width - 1 - cells(cell))}"


def _coloured(cell: str, column: str, *, head: bool) -> str:
    if head:
        return colour(cell, "bold")
    return colour(cell, COLOURS.get(cell.strip()) if column in _TOLD_BY else None)


def _widths(lines: Sequence[Sequence[str]]) -> list[int]:
    return [max(cells(line[i]) for line in lines) for i in range(len(lines[0]))]


def _sum(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)


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


def _cell(value: Any) -> str:
    return "-" if value is None else plain(str(value))

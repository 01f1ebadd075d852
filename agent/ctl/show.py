"""How outcomes are shown: columns for people, JSON for programs."""

from __future__ import annotations

import sys
import time
from typing import Any, TextIO

from agent.ctl.outcome import Outcome
from agent.ctl.table import COLOURS, table
from agent.ctl.terminal import colour, is_coloured, plain, width

_LEVELS = ("failed", "warning", "ok")


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
    lines = table(outcome.columns, outcome.rows, columns, now, coloured=coloured) if outcome.rows else []
    if not outcome.rows and outcome.empty:
        lines.append(plain(outcome.empty))
    before, after = ([_line(line, coloured=coloured) for line in part] for part in (outcome.before, outcome.lines))
    return [*before, *lines, *after]


def _line(line: str, *, coloured: bool) -> str:
    """A line; where it begins with a finding's level, that stands out."""
    told = plain(line)
    level = told.partition(" ")[0]
    return colour(level, COLOURS[level]) + told[len(level) :] if coloured and level in _LEVELS else told


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

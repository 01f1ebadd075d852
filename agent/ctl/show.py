"""How answers are shown: columns for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], empty: str) -> None:
    """Print rows in aligned columns, or `empty` when there are none."""
    lines = [[column.upper() for column in columns], *([_cell(value) for value in row] for row in rows)]
    if len(lines) == 1:
        print(empty)
        return
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def as_json(value: Any) -> None:
    """Print a value as JSON."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def bytes_text(amount: int) -> str:
    """An amount of bytes as people read it."""
    size = float(amount)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def _cell(value: Any) -> str:
    """Text that cannot disturb a terminal."""
    text = "-" if value is None else str(value)
    return "".join(c if c.isprintable() else "?" for c in text)

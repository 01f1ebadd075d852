"""The terminal: whether there is one, how wide it is, and what may be written to it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TextIO

_CODES = {"red": "31", "green": "32", "yellow": "33", "bold": "1"}


def plain(text: str) -> str:
    """Text that cannot disturb a terminal: a question mark for what moves the cursor, colours or hides."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def is_terminal(stream: TextIO) -> bool:
    """Whether a person sees what is written there."""
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


def width(stream: TextIO) -> int | None:
    """Columns of the terminal, None where the lines may be as long as they like."""
    if not is_terminal(stream):
        return None
    try:
        columns = int(os.environ.get("COLUMNS", "0"))
    except ValueError:
        columns = 0
    if columns > 0:
        return columns
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except OSError:
        return None


def is_coloured(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether colours are wanted: on a terminal that has them, unless NO_COLOR is set (no-color.org)."""
    return is_terminal(stream) and not environment.get("NO_COLOR") and environment.get("TERM", "dumb") != "dumb"


def colour(text: str, name: str | None) -> str:
    """The text in a colour, or as it is."""
    return f"\x1b[{_CODES[name]}m{text}\x1b[0m" if name else text


def say(text: str) -> None:
    """Write a line to standard error, where it disturbs no program that reads the answer."""
    sys.stdout.flush()
    before = "\r\x1b[K" if is_terminal(sys.stderr) else ""  # what shows that it goes on stands there, perhaps
    try:
        print(f"{before}{plain(text)}", file=sys.stderr, flush=True)
    except BrokenPipeError:
        raise
    except OSError:
        pass  # a full disk must not change what the command comes to

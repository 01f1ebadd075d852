"""Which stored files a record keeps alive: too many rather than too few."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Any

_MOST_PARTS = 64
"""Of a path that leads out of the store, at most so many of its last parts can be a path inside it."""


def references_of(body: dict[str, Any]) -> list[str]:
    """Every filename in the body, sorted: each field called `filename`, at any depth, known or not.

    A newer agent, or a hand, may have written fields that this one does not know, in spellings that it would not
    accept; a file named that way must not be taken for unused.
    """
    found: set[str] = set()
    pending: list[Any] = [body]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            pending += value.values()
            found.update(_spellings(value.get("filename")))
        elif isinstance(value, list):
            pending += value
    return sorted(found)


def _spellings(value: Any) -> Iterator[str]:
    """The paths inside the store that a value may mean."""
    if isinstance(value, list):
        for item in value:
            yield from _spellings(item)
    if not isinstance(value, str) or not value or "\0" in value:
        return
    yield value
    normal = posixpath.normpath(value)
    if normal.startswith(("/", "..")):
        # Absolute, or out of some directory: where the store lies is not known here, so each end of it counts.
        parts = [part for part in normal.split("/") if part not in ("", "..")][-_MOST_PARTS:]
        for start in range(len(parts)):
            yield "/".join(parts[start:])
    elif normal != ".":
        yield normal

"""What leaves the trash for good, and when: pure decisions."""

from __future__ import annotations

from collections.abc import Sequence

from agent.model import TrashedFile

LEAST = 3600.0
"""Seconds that every removed file can be restored, however full the disk is."""

_SECOND = 10**9


def age(file: TrashedFile, now: int) -> float:
    """Seconds since the file was removed."""
    return (now - file.deleted) / _SECOND


def expired(trash: Sequence[TrashedFile], now: int, ttl: float) -> list[TrashedFile]:
    """Those that have lain there for `ttl` seconds."""
    return [file for file in trash if age(file, now) >= max(ttl, LEAST)]


def next_early(trash: Sequence[TrashedFile], now: int, usage: float, watermark: float) -> TrashedFile | None:
    """The file that goes before its time while the disk is fuller than `watermark` percent: the oldest, if any may."""
    if usage <= watermark:
        return None
    oldest = min(trash, key=lambda file: file.deleted, default=None)
    return oldest if oldest is not None and age(oldest, now) >= LEAST else None

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


def may_go_early(trash: Sequence[TrashedFile], now: int) -> list[TrashedFile]:
    """Those that go before their time, in this order, for as long as the disk is too full: the oldest first."""
    return sorted((file for file in trash if age(file, now) >= LEAST), key=lambda file: file.deleted)

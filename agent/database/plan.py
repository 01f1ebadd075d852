"""What a clean would do: decided from what was seen at one moment, pure, and named by a digest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from agent.database.backups import Backup, surplus
from agent.model import CleanAction, Record, Tombstone
from agent.ports import Leftover


class What(StrEnum):
    """The kinds of thing that a clean removes or tidies; the wire's `kind`."""

    TOMBSTONE = "tombstone"
    UPLOAD = "upload"
    TRASH = "trash"
    BACKUP = "backup"
    ENGINE = "engine"


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything a plan is decided from; `tombstone_ttl` in seconds, `backups_kept` a count."""

    now: datetime
    self_uid: str
    tombstones: Sequence[Record]
    leftovers: Sequence[Leftover]
    backups: Sequence[Backup]
    reclaimable: Mapping[str, int]
    engine: str
    tombstone_ttl: float
    backups_kept: int


def decide(seen: Seen) -> list[CleanAction]:
    """The actions, in the order they are done: records, files, backups, and the engine's own work last."""
    actions = [*_tombstones(seen), *_leftovers(seen)]
    engine = list(_engine(seen))
    kept = seen.backups_kept
    if actions or engine or len(seen.backups) > kept:
        kept -= 1  # a clean that changes anything begins with a backup of its own
    return [*actions, *_backups(seen.backups, kept), *engine]


def digest(actions: Sequence[CleanAction]) -> str:
    """A name for what would be done: equal for equal actions, whatever their sizes and reasons."""
    lines = sorted(msgspec.json.encode((action.action, action.kind, action.target)) for action in actions)
    return hashlib.sha256(b"\n".join(lines)).hexdigest()[:32]


def why_forget(record: Record, self_uid: str, now: datetime, ttl: float) -> str | None:
    """Why a tombstone, all that is kept of a head that is gone, is not needed any more; None while it is.

    `ttl` in seconds. This head's own is kept, for without it this head would come back by itself; so is one that
    cannot be read, for it may be all that keeps a removed head out.
    """
    if record.uid == self_uid:
        return None
    try:
        at = datetime.fromisoformat(msgspec.convert(record.body, Tombstone).at)
    except (msgspec.ValidationError, ValueError):
        return None
    if at.tzinfo is not None and now - at > timedelta(seconds=ttl):
        return f"the head has been gone for longer than {ttl / 86400:g} days (database.tombstone_ttl)"
    return None


def _tombstones(seen: Seen) -> Iterator[CleanAction]:
    for record in seen.tombstones:
        if reason := why_forget(record, seen.self_uid, seen.now, seen.tombstone_ttl):
            yield CleanAction("forget", What.TOMBSTONE, record.uid, reason)


def _leftovers(seen: Seen) -> Iterator[CleanAction]:
    for leftover in seen.leftovers:
        yield CleanAction("remove", leftover.kind, leftover.target, leftover.reason, leftover.bytes)


def _backups(backups: Sequence[Backup], kept: int) -> Iterator[CleanAction]:
    for backup in surplus(backups, kept):
        reason = "older than the newest that are kept, this clean's own included (database.backups)"
        yield CleanAction("remove", What.BACKUP, backup.name, reason, backup.bytes)


def _engine(seen: Seen) -> Iterator[CleanAction]:
    for action, expected in seen.reclaimable.items():
        yield CleanAction(action, What.ENGINE, seen.engine, "the engine's own housekeeping is due", expected)

"""What a clean would do: decided from what was seen at one moment, pure, and named by a digest."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from agent.database.backups import Backup, surplus
from agent.model import CleanAction, Kind, Record, Tombstone
from agent.ports import Leftover
from agent.records.locks import holder
from agent.records.turns import LOCK


class What(StrEnum):
    """The kinds of thing that a clean removes or tidies; the wire's `kind`."""

    TOMBSTONE = "tombstone"
    VERDICT = "verdict"
    LOCK = "lock"
    UPLOAD = "upload"
    TRASH = "trash"
    BACKUP = "backup"
    ENGINE = "engine"


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything a plan is decided from; `tombstone_ttl` in seconds, `backups_kept` a count.

    `heads` are the uids of those in the cluster; `records` what was written about heads that may be in it no longer:
    tombstones, verdicts and locks.
    """

    now: datetime
    self_uid: str
    heads: Collection[str]
    records: Sequence[Record]
    leftovers: Sequence[Leftover]
    backups: Sequence[Backup]
    reclaimable: Mapping[str, int]
    engine: str
    tombstone_ttl: float
    backups_kept: int


def decide(seen: Seen) -> list[CleanAction]:
    """The actions, in the order they are done: records, files, backups, and the engine's own work last."""
    actions = [*_records(seen), *_leftovers(seen)]
    engine = list(_engine(seen))
    kept = seen.backups_kept
    if actions or engine or len(seen.backups) > kept:
        kept -= 1  # a clean that changes anything begins with a backup of its own
    return [*actions, *_backups(seen.backups, kept), *engine]


def digest(actions: Sequence[CleanAction]) -> str:
    """A name for what would be done: equal for equal actions, whatever their sizes and reasons."""
    lines = sorted(msgspec.json.encode((action.action, action.kind, action.target)) for action in actions)
    return hashlib.sha256(b"\n".join(lines)).hexdigest()[:32]


def subject(record: Record) -> str | None:
    """The uid of the head that a tombstone, a verdict or a lock is about; None where that cannot be read."""
    return holder(record) if record.kind is Kind.LOCK else record.uid


def why_forget(record: Record, heads: Collection[str], self_uid: str, now: datetime, ttl: float) -> str | None:
    """Why a record about a head that is gone is not needed any more; None while it is.

    `ttl`, in seconds, is for tombstones: one that cannot be read is kept, for it may be all that keeps a removed head
    out. This head's own records are kept: without its tombstone it would come back by itself. So is the lock that a
    clean takes over from whoever left it.
    """
    about = subject(record)
    if about is None or about == self_uid or (record.kind is Kind.LOCK and record.uid == LOCK):
        return None
    if record.kind is Kind.TOMBSTONE:
        return _why_buried(record, now, ttl)
    return None if about in heads else "it is left of a head that is not in the cluster any more"


def _why_buried(record: Record, now: datetime, ttl: float) -> str | None:
    try:
        at = datetime.fromisoformat(msgspec.convert(record.body, Tombstone).at)
    except (msgspec.ValidationError, ValueError):
        return None
    if at.tzinfo is not None and now - at > timedelta(seconds=ttl):
        return f"the head has been gone for longer than {ttl / 86400:g} days (database.tombstone_ttl)"
    return None


def _records(seen: Seen) -> Iterator[CleanAction]:
    for record in seen.records:
        if reason := why_forget(record, seen.heads, seen.self_uid, seen.now, seen.tombstone_ttl):
            yield CleanAction("forget", record.kind, record.uid, reason)


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

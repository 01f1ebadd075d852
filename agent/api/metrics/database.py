"""The database, its members where it has several, and its backups."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from agent.api.metrics.metric import Metric, Sample, counter, gauge, histogram, one
from agent.api.metrics.reading import Reading
from agent.ports import EngineMember


def _engine(reading: Reading) -> Iterator[Sample]:
    yield (reading.rooms.engine.kind,), 1


def _quorum(reading: Reading) -> Iterable[Sample]:
    return one(reading.rooms.store_age() is None if reading.rooms.engine.kind == "etcd" else None)


def _each(figure: Callable[[EngineMember], float]) -> Callable[[Reading], Iterator[Sample]]:
    def read(reading: Reading) -> Iterator[Sample]:
        for member in reading.rooms.instruments.upkeep.members:
            yield (member.head,), figure(member)

    return read


def _last_backup(reading: Reading) -> Iterable[Sample]:
    if not reading.backups:
        return []
    return one(datetime.fromisoformat(reading.backups[0].made).timestamp())


def _backups(reading: Reading) -> Iterable[Sample]:
    return one(None if reading.backups is None else len(reading.backups))


def _backup_bytes(reading: Reading) -> Iterable[Sample]:
    return one(None if reading.backups is None else sum(backup.bytes for backup in reading.backups))


DATABASE: tuple[Metric, ...] = (
    gauge("database_info", "1; which engine keeps the records: sqlite or etcd.", _engine, ("engine",)),
    gauge(
        "database_usable",
        "Whether the database takes changes.",
        lambda reading: one(reading.rooms.engine.problem is None),
    ),
    gauge(
        "database_size_bytes",
        "Its size on disk; of etcd, that of one member.",
        lambda reading: one(reading.size),
    ),
    gauge(
        "database_revision", "The newest revision that is known.", lambda reading: one(reading.rooms.engine.revision)
    ),
    gauge(
        "database_stale_seconds",
        "How old what is read may be; 0 while it is the newest.",
        lambda reading: one(reading.rooms.store_age() or 0.0),
    ),
    gauge("database_quorum", "Whether enough members of etcd answer; nothing with sqlite.", _quorum),
    gauge(
        "database_member_healthy",
        "Whether a member of the agents' etcd answers, by its head; nothing in the minority.",
        _each(lambda member: bool(member.healthy)),
        ("head",),
    ),
    gauge("database_member_leader", "Whether it leads.", _each(lambda member: member.leader), ("head",)),
    gauge("database_member_voter", "Whether it has a vote.", _each(lambda member: member.voter), ("head",)),
    histogram(
        "database_commit_duration_seconds",
        "How long changes took until they were on disk; of etcd, on those of a quorum.",
        lambda reading: one(reading.rooms.instruments.commits),
    ),
    counter(
        "database_commit_failures_total",
        "Changes that were not made as the database was away, its disk full or its quorum gone.",
        lambda reading: one(reading.rooms.instruments.uncommitted()),
    ),
    gauge("database_backups", "Backups on this head.", _backups),
    gauge("database_backup_bytes", "Their bytes.", _backup_bytes),
    gauge(
        "database_last_backup_timestamp_seconds",
        "When the newest was made; nothing without one.",
        _last_backup,
    ),
)

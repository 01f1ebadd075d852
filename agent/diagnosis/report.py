"""The report on a head: what it is, in few figures, and every finding. What `cw-headctl status` shows."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from agent.diagnosis.finding import Finding, Level


class HeadLine(Struct, frozen=True):
    """One head of the cluster; `heard_by` of `others` hear it."""

    uid: str
    description: str
    state: str
    heard_by: int
    others: int
    version: str | None


class DatabaseLine(Struct, frozen=True):
    """The database; `size` in bytes, `age` in seconds where what is read is not the newest for certain."""

    kind: str
    size: int
    age: float | None
    adopted: bool


class MembersLine(Struct, frozen=True):
    """The members of the database with a vote, and how many of them answer."""

    voters: int
    well: int


class ServicesLine(Struct, frozen=True):
    """How many services are up, of how many."""

    up: int
    all: int


class ScanLine(Struct, frozen=True):
    """The last scan of the file store, `ago` seconds."""

    files: int
    unused: int
    unused_bytes: int
    ago: float


class StoreLine(Struct, frozen=True):
    """The file store: how full its disk is (percent), bytes that are free, and what lies in its trash."""

    used: float
    free: int
    trash_files: int
    trash_bytes: int
    scan: ScanLine | None
    """Null when nobody has asked for its unused files yet."""


class CertificateLine(Struct, frozen=True):
    """This head's certificate; `until` is RFC 3339 UTC."""

    until: str
    days: int


class BackupLine(Struct, frozen=True):
    """The newest backup; `made` is RFC 3339 UTC."""

    name: str
    made: str
    bytes: int


class Report(Struct, frozen=True, kw_only=True):
    """One head at one moment. What could not be found out in time is null, and a finding says why."""

    level: Level
    """That of the worst finding."""
    took: float
    """Seconds."""
    uid: str
    description: str
    version: str
    cluster: str | None = None
    standing: str | None = None
    verdict: str | None = None
    heads: tuple[HeadLine, ...] | None = None
    database: DatabaseLine | None = None
    members: MembersLine | None = None
    services: ServicesLine | None = None
    store: StoreLine | None = None
    certificate: CertificateLine | None = None
    backup: BackupLine | None = None
    findings: tuple[Finding, ...]
    """The worst first."""


Told = dict[str, Any]
"""Fields of the report that a check has found out on its way."""

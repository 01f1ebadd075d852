"""SQLite's errors in the agent's own words; none of them leaves the adapter."""

from __future__ import annotations

import errno
import sqlite3

from agent.errors import Unavailable


class Damaged(Unavailable):
    """The database file is not usable as it is, and trying again will not help: it needs a person."""

    default_code = "database-damaged"


class DiskFull(Unavailable):
    """There is no room to write in; reading may be possible all the same."""


_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE}
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}

_REASONS = {
    sqlite3.SQLITE_BUSY: "another program holds its lock",
    sqlite3.SQLITE_LOCKED: "another program holds its lock",
    sqlite3.SQLITE_IOERR: "the disk gives an error",
    sqlite3.SQLITE_READONLY: "it cannot be written: check the owner, the mode and the mount",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: check the directory, its owner and its mode",
    sqlite3.SQLITE_PERM: "access is denied: check the owner and the mode",
    sqlite3.SQLITE_AUTH: "access is denied: check the owner and the mode",
    sqlite3.SQLITE_NOMEM: "memory ran out",
}
"""Primary result code -> what it means to an operator (https://sqlite.org/rescode.html)."""


def translate(err: sqlite3.Error, doing: str) -> Unavailable:
    """What `err` means; `doing` completes "cannot ... the database"."""
    code = getattr(err, "sqlite_errorcode", None)
    if code is None:
        return Unavailable(f"cannot {doing} the database: it is closed or being replaced")
    name = getattr(err, "sqlite_errorname", "")
    primary = code & 0xFF
    if code in _FULL:
        return DiskFull(f"cannot {doing} the database: the disk is full")
    if primary in _DAMAGE:
        return Damaged(f"cannot {doing} the database: it is damaged ({name}: {err})")
    return Unavailable(f"cannot {doing} the database: {_REASONS.get(primary, str(err))} ({name})")


def translate_os(err: OSError, doing: str) -> Unavailable:
    """The same for an error of the filesystem; the path stays out of it."""
    if err.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"cannot {doing} the database: the disk is full")
    return Unavailable(f"cannot {doing} the database: {err.strerror or type(err).__name__}")

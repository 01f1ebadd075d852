"""The database as a file: begun, examined, copied, put aside. Everything here blocks: run it in a thread."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import structlog

from agent.adapters.durable import sync
from agent.adapters.sqlite.errors import Damaged, translate, translate_os
from agent.adapters.sqlite.schema import MIGRATIONS, faults, identify, migrate, version
from agent.errors import Conflict, Invalid

log = structlog.get_logger()

BUSY_TIMEOUT = 5.0
"""Seconds that a statement waits for another program's lock."""

REVISION_JUMP = 1_000_000
"""Added to a restored store's revision, so that no ETag given since the backup fits again."""

PRAGMAS = (
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA cell_size_check = ON",
)
"""What every connection begins with: durable commits, foreign keys, no trust in what a file may carry."""

ALONE = ("PRAGMA locking_mode = EXCLUSIVE",)
"""Makes a connection the only one: it needs no shared memory file, for which a full disk has no room."""

UNFINISHED = ".unfinished"
"""A backup that is being written, in the directory of the backups; whoever writes the next one sweeps it away."""

_COMPANIONS = ("-wal", "-shm", "-journal")
_HEADER = b"SQLite format 3\0"

Migrations = tuple[tuple[str, ...], ...]


def address(path: Path, mode: str = "rw") -> str:
    """The URI under which SQLite opens the file, and never makes it."""
    return f"file:{quote(str(path))}?mode={mode}"


def beside(path: Path, suffix: str) -> Path:
    """A companion file: the same name with something behind it."""
    return path.with_name(path.name + suffix)


@contextlib.contextmanager
def connected(path: Path, doing: str, mode: str = "rw", *, alone: bool = False) -> Iterator[sqlite3.Connection]:
    """A connection for a while; SQLite's and the system's errors become Damaged or Unavailable."""
    try:
        with contextlib.closing(
            sqlite3.connect(address(path, mode), uri=True, isolation_level=None, timeout=BUSY_TIMEOUT)
        ) as connection:
            for pragma in (*(ALONE if alone else ()), *PRAGMAS):
                connection.execute(pragma)
            yield connection
    except sqlite3.Error as err:
        raise translate(err, doing) from err
    except OSError as err:
        raise translate_os(err, doing) from err


def prepare(path: Path, backups: Path, migrations: Migrations = MIGRATIONS, *, alone: bool = False) -> None:
    """Have a sound, migrated database at `path`, begun where there is none.

    What it was before a migration is kept in the directory `backups`, among those that are made by command.

    Raises Damaged, leaving the file as it is, or Unavailable when a later try may succeed.
    """
    try:
        if beside(path, ".restored").exists():
            aside = finish_restore(path)
            log.warning("Interrupted restore finished", file=str(path), old=str(aside))
        if not os.path.lexists(path):
            _begin(path, migrations)
        found = path.stat()
    except OSError as err:
        raise translate_os(err, "open") from err
    if not stat.S_ISREG(found.st_mode):
        raise Damaged("cannot use the database: it is not a regular file")
    if found.st_size == 0:
        raise Damaged("cannot use the database: the file is empty")
    with connected(path, "open", alone=alone) as connection:
        examine(connection, migrations)
        if (before := version(connection)) < len(migrations):
            kept = _keep(connection, backups)
            migrate(connection, migrations)
            log.info("Database schema migrated", file=str(path), before=before, now=len(migrations), backup=kept.name)


def _keep(source: sqlite3.Connection, directory: Path) -> Path:
    """Keep a backup of the database as it is, durable when this returns; raises DiskFull, Unavailable."""
    draft = directory / UNFINISHED
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        remove(draft)
        touch(draft)
        _copy(source, draft, "back up before migrating")
        kept = directory / f"{_stamp()}.db"
        draft.rename(kept)
        sync(directory)
        sync(directory.parent)
    except OSError as err:
        raise translate_os(err, "back up before migrating") from err
    return kept


def examine(connection: sqlite3.Connection, migrations: Migrations = MIGRATIONS) -> None:
    """Raises Damaged unless the database is this agent's and whole."""
    identify(connection, migrations)
    wrong = faults(connection)
    if wrong:
        raise Damaged(f"cannot use the database: it is damaged ({'; '.join(wrong)[:500]})")


def _begin(path: Path, migrations: Migrations) -> None:
    """A new database, made under another name: at `path` there is never half a one."""
    if beside(path, "-wal").exists():
        raise Damaged("cannot use the database: its file is missing while its write-ahead log is still there")
    draft = beside(path, ".new")
    remove(draft)
    touch(draft)
    with connected(draft, "begin") as connection:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        migrate(connection, migrations)
    sync(draft)
    draft.rename(path)
    sync(path.parent)
    log.info("Database begun", file=str(path))


def copy_out(path: Path, target: Path) -> int:
    """Copy the live database to `target`, durable and standing alone; returns its size in bytes."""
    if os.path.lexists(target):
        raise Conflict("cannot write the backup: there is already a file of that name", code="exists")
    draft = beside(target, ".part")
    try:
        remove(draft)
        touch(draft)
        try:
            with connected(path, "back up", "ro") as source:
                _copy(source, draft, "back up")
            os.link(draft, target)
        finally:
            remove(draft)
        sync(target.parent)
        return target.stat().st_size
    except OSError as err:
        raise translate_os(err, "back up") from err


def _copy(source: sqlite3.Connection, draft: Path, doing: str) -> None:
    """Copy a live database into the empty file `draft`, durable and standing alone."""
    with connected(draft, doing) as copy:
        source.backup(copy)
        # Out of WAL mode: one file, which can be carried away and read anywhere.
        copy.execute("PRAGMA journal_mode = DELETE")
    sync(draft)


def stage(
    source: Path,
    path: Path,
    known_revision: int,
    migrations: Migrations = MIGRATIONS,
    change: Callable[[sqlite3.Connection], None] | None = None,
) -> None:
    """Check a copy of the backup `source` and lay it down beside `path`, ready for `finish_restore`.

    `change` is made to the copy before. Raises Invalid when it is not a sound backup, Unavailable when the copy cannot
    be written.
    """
    draft = beside(path, ".restoring")
    try:
        remove(draft)
        _copy_in(source, path, draft)
        with connected(draft, "restore") as connection:
            examine(connection, migrations)
            connection.execute("PRAGMA journal_mode = WAL")
            migrate(connection, migrations)
            jumped = (REVISION_JUMP, known_revision + 1)
            connection.execute("UPDATE store SET revision = max(revision + ?, ?)", jumped)
            if change is not None:
                change(connection)
        sync(draft)
        draft.rename(beside(path, ".restored"))
        sync(path.parent)
    except Damaged as err:
        raise Invalid(f"cannot restore this backup: {err.reason.partition(': ')[2]}") from err
    except OSError as err:
        raise translate_os(err, "restore") from err
    finally:
        remove(draft)


def _copy_in(source: Path, path: Path, draft: Path) -> None:
    """Copy `source`, with the write-ahead log that may lie beside it, to `draft`; raises Invalid."""
    try:
        found = source.stat()
        if not stat.S_ISREG(found.st_mode):
            raise Invalid("cannot restore this backup: it is not a regular file")
        # Before it is opened: closing a second descriptor of the live database would drop SQLite's locks on it.
        if path.exists() and source.samefile(path):
            raise Invalid("cannot restore this backup: it is the database in use")
        file = source.open("rb")
    except OSError as err:
        raise Invalid(f"cannot restore this backup: {err.strerror}") from err
    with file:
        if file.read(len(_HEADER)) != _HEADER:
            raise Invalid("cannot restore this backup: it is not an SQLite database")
        file.seek(0)
        touch(draft)
        with open(draft, "wb") as copy:
            shutil.copyfileobj(file, copy, 2**20)
    log = beside(source, "-wal")
    if log.exists():
        shutil.copyfile(log, beside(draft, "-wal"))


def finish_restore(path: Path) -> Path:
    """Put the staged copy in the database's place; after a crash in the middle, doing it again ends it.

    The old files are moved aside first: a write-ahead log left beside a database that it does not belong
    to would be played into it.
    """
    aside = beside(path, f".before-restore-{_stamp()}")
    for suffix in ("", *_COMPANIONS):
        old = beside(path, suffix)
        if os.path.lexists(old):
            old.rename(beside(aside, suffix))
    sync(path.parent)
    beside(path, ".restored").rename(path)
    sync(path.parent)
    return aside


def _stamp() -> str:
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")


def size(path: Path) -> int:
    """Bytes of the database and its write-ahead log, 0 where there is none."""
    with contextlib.suppress(OSError):
        return path.stat().st_size + log_size(path)
    return 0


def log_size(path: Path) -> int:
    """Bytes of the write-ahead log."""
    with contextlib.suppress(OSError):
        return beside(path, "-wal").stat().st_size
    return 0


def room(path: Path) -> int:
    """Bytes that are free where the database lies; 0 when that cannot be told."""
    try:
        found = os.statvfs(path.parent)
    except OSError:
        return 0
    return found.f_bavail * found.f_frsize


def touch(path: Path) -> None:
    """A new empty file that only this user may read; SQLite gives its companions the same mode."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))


def remove(path: Path) -> None:
    """Remove a database with its companions, where there are any."""
    for suffix in ("", *_COMPANIONS):
        beside(path, suffix).unlink(missing_ok=True)

"""A store's records as one SQLite file of our schema: every engine's backups, and its copy for bad times.

Everything here blocks: run it in a thread.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from agent.adapters.durable import sync
from agent.adapters.sqlite.errors import Damaged, translate_os
from agent.adapters.sqlite.file import beside, connected, examine, remove, touch
from agent.adapters.sqlite.schema import migrate
from agent.errors import Conflict, Invalid, Unavailable
from agent.model import Kind, Record
from agent.ports import walk_key

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Row(msgspec.Struct, frozen=True):
    """A record with the filenames that it keeps alive: what a store holds of it, whole."""

    record: Record
    references: tuple[str, ...] = ()


class Archive(msgspec.Struct, frozen=True):
    """Everything that a store held at `revision`, by kind and uid."""

    revision: int
    rows: list[Row]


def write(path: Path, rows: Iterable[Row], revision: int) -> int:
    """Write a new archive, mode 0600, durable before this returns; its size in bytes.

    Raises Conflict (code `exists`) when there is a file already, Unavailable when it cannot be written.
    """
    if os.path.lexists(path):
        raise Conflict("cannot write the backup: there is already a file of that name", code="exists")
    draft = beside(path, ".part")
    try:
        try:
            _fill(draft, rows, revision)
            os.link(draft, path)
        finally:
            remove(draft)
        sync(path.parent)
        return path.stat().st_size
    except OSError as err:
        raise translate_os(err, "back up") from err


def replace(path: Path, rows: Iterable[Row], revision: int) -> None:
    """Write the archive in the place of the one that may be there; a crash leaves the one or the other."""
    draft = beside(path, ".part")
    try:
        try:
            _fill(draft, rows, revision)
            draft.rename(path)
        finally:
            remove(draft)
        sync(path.parent)
    except OSError as err:
        raise translate_os(err, "copy") from err


def read(path: Path) -> Archive:
    """Read an archive, or a backup of the embedded engine, after checking it; `path` itself is never written to.

    Raises Invalid when it is not a sound database of ours, Unavailable when the disk does not let it be read.
    """
    try:
        if not path.is_file():
            raise Invalid("cannot read this backup: it is not a regular file")
        with connected(path, "read", "ro") as source, closing(sqlite3.connect(":memory:")) as copy:
            # Checked first, and brought up to this agent's schema in memory: the file stays what it is.
            examine(source)
            source.backup(copy)
            copy.isolation_level = None
            migrate(copy)
            ((revision,),) = copy.execute("SELECT revision FROM store")
            return Archive(revision, list(_rows(copy)))
    except (Damaged, msgspec.DecodeError, ValueError) as err:
        why = err.reason.partition(": ")[2] if isinstance(err, Damaged) else "a record in it is damaged"
        raise Invalid(f"cannot read this backup: {why}") from err
    except sqlite3.Error as err:
        raise Unavailable("cannot read this backup: memory ran out") from err
    except OSError as err:
        raise translate_os(err, "read") from err


def others(path: Path, kinds: Collection[Kind]) -> Callable[[sqlite3.Connection], None]:
    """What makes another database's records of other than these kinds those that are at `path` now.

    Raises Damaged or Unavailable where they cannot be read.
    """
    try:
        with connected(path, "read", "ro") as connection:
            stay = [row for row in _rows(connection) if row.record.kind not in kinds]
    except (msgspec.DecodeError, ValueError) as err:
        raise Damaged("cannot read the database: a record is damaged") from err

    def change(connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(f"DELETE FROM record WHERE kind NOT IN ({', '.join('?' * len(kinds))})", tuple(kinds))
        ((last,),) = connection.execute("SELECT ifnull(max(id), 0) FROM record")
        _insert(connection, stay, last + 1)
        connection.execute("COMMIT")

    return change


def _fill(draft: Path, rows: Iterable[Row], revision: int) -> None:
    """A database of our schema that holds these rows, at a path of its own."""
    remove(draft)
    touch(draft)
    with connected(draft, "back up") as connection:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        migrate(connection)
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE store SET revision = ?", (revision,))
        _insert(connection, rows, 1)
        connection.execute("COMMIT")
    sync(draft)


def _insert(connection: sqlite3.Connection, rows: Iterable[Row], first: int) -> None:
    for number, row in enumerate(rows, first):
        record = row.record
        connection.execute(
            "INSERT INTO record (id, kind, uid, revision, name, body) VALUES (?, ?, ?, ?, ?, ?)",
            (number, record.kind, record.uid, record.revision, record.name, _text(record.body)),
        )
        keys = {(walk_key(filename).encode(), number) for filename in row.references}
        connection.executemany("INSERT INTO reference (key, record) VALUES (?, ?)", keys)


def _text(body: dict[str, Any]) -> str:
    return msgspec.json.encode(body).decode()


def _rows(connection: sqlite3.Connection) -> Iterator[Row]:
    references: dict[int, list[str]] = {}
    for key, number in connection.execute("SELECT key, record FROM reference ORDER BY key"):
        references.setdefault(number, []).append(key.decode().replace("\0", "/"))
    for number, *row in connection.execute("SELECT id, kind, uid, revision, name, body FROM record ORDER BY kind, uid"):
        kind, uid, revision, name, body = row
        record = Record(Kind(kind), uid, revision, _decode(body), name)
        yield Row(record, tuple(references.get(number, ())))

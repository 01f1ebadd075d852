"""The tables, as numbered migrations: `PRAGMA user_version` counts those that were applied."""

from __future__ import annotations

import sqlite3

from agent.adapters.sqlite.errors import Damaged

APPLICATION_ID = 0x43574841
"""Marks the file as this agent's ("CWHA"; https://sqlite.org/fileformat.html, offset 68)."""

_RECORDS = (
    """CREATE TABLE store (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        revision INTEGER NOT NULL
    ) STRICT""",
    "INSERT INTO store (one, revision) VALUES (1, 0)",
    """CREATE TABLE record (
        id INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,
        uid TEXT NOT NULL,
        revision INTEGER NOT NULL,
        name TEXT,
        body TEXT NOT NULL,
        UNIQUE (kind, uid),
        UNIQUE (kind, name)
    ) STRICT""",
    # `key` is the filename's walk_key in UTF-8, whose bytes sort as walk order does.
    """CREATE TABLE reference (
        key BLOB NOT NULL,
        record INTEGER NOT NULL REFERENCES record (id) ON DELETE CASCADE,
        PRIMARY KEY (key, record)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX reference_record ON reference (record)",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_RECORDS,)
"""What each version adds; append only: a shipped migration never changes."""


def version(connection: sqlite3.Connection) -> int:
    """How many migrations the database has seen."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def identify(connection: sqlite3.Connection, migrations: tuple[tuple[str, ...], ...] = MIGRATIONS) -> None:
    """Raises Damaged unless this is the agent's own database, of a version that this agent knows."""
    mark = int(connection.execute("PRAGMA application_id").fetchone()[0])
    if mark != APPLICATION_ID:
        raise Damaged("cannot use the database: the file belongs to another program")
    present = version(connection)
    if not 1 <= present <= len(migrations):
        raise Damaged(
            f"cannot use the database: its schema is version {present} and this agent knows 1 to {len(migrations)}; "
            "install the agent that wrote it, or restore the backup that it made first: `cw-headctl database backups`"
        )


def migrate(connection: sqlite3.Connection, migrations: tuple[tuple[str, ...], ...] = MIGRATIONS) -> int:
    """Apply the migrations that are missing, each in a transaction of its own; returns how many."""
    present = version(connection)
    for number, statements in enumerate(migrations[present:], present + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in statements:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    return len(migrations) - present


def faults(connection: sqlite3.Connection) -> list[str]:
    """What an integrity check finds wrong, at most a few lines of it."""
    found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(10)")]
    if found == ["ok"]:
        found = []
    orphans = len(connection.execute("PRAGMA foreign_key_check").fetchmany(10))
    return found + ([f"{orphans} references belong to no record"] if orphans else [])

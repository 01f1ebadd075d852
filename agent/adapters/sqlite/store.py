"""The embedded engine: records in one SQLite file, off the event loop through aiosqlite."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import aiosqlite
import msgspec
import structlog

from agent.adapters.refusals import expect, name_taken
from agent.adapters.sqlite import archive
from agent.adapters.sqlite import file as sqlite_file
from agent.adapters.sqlite.connections import WRITE, Connections
from agent.adapters.sqlite.errors import Damaged
from agent.adapters.sqlite.file import Migrations
from agent.adapters.sqlite.schema import MIGRATIONS, faults
from agent.errors import NotFound, Unavailable
from agent.model import Kind, Record
from agent.ports import Change, Put, walk_key

log = structlog.get_logger()

_WORTH_RECLAIMING = 2**20
"""Bytes below which a checkpoint or a vacuum is not worth doing."""

_SWAPPED = bytes.maketrans(b"/\0", b"\0/")
"""Makes joined keys joined filenames: in a key NUL stands for "/", which therefore can stand between two."""

_decode = msgspec.json.Decoder(dict[str, Any]).decode

_SELECT = "SELECT uid, revision, name, body FROM record WHERE kind = ?"


class SqliteStore:
    """`Store` and `StoreEngine` over one file.

    A damaged file is told through `problem` and left as it is until `restore`; anything else that keeps
    the database away is tried again by `reopen_if_needed`.
    """

    def __init__(self, path: Path, backups: Path, migrations: Migrations) -> None:
        self._path = path
        self._migrations = migrations
        self._connections = Connections(path, backups, migrations, lambda: self._tell(frozenset(Kind)))
        self._writing = asyncio.Lock()
        self._callbacks: list[Callable[[frozenset[Kind]], None]] = []

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls, path: Path, migrations: Migrations = MIGRATIONS, backups: Path | None = None
    ) -> AsyncIterator[SqliteStore]:
        """The store at `path`, begun where there is none, closed at the end. Does not fail: see `problem`.

        `backups`: where it is kept before a migration, beside the store unless it is given.
        """
        store = cls(path, backups or path.parent / "backups", migrations)
        try:
            async with store._writing:
                await store._connections.open()
            yield store
        finally:
            async with store._writing:
                await store._connections.close(Unavailable("the database is closed: the agent is stopping"))

    async def get(self, kind: Kind, uid: str) -> Record | None:
        """The record, or None."""
        return next(iter(await self._records(f"{_SELECT} AND uid = ?", kind, uid)), None)

    async def find(self, kind: Kind, name: str) -> Record | None:
        """The record of that kind with that name, or None."""
        return next(iter(await self._records(f"{_SELECT} AND name = ?", kind, name)), None)

    async def records(self, kind: Kind) -> list[Record]:
        """All records of a kind, sorted by uid."""
        return await self._records(f"{_SELECT} ORDER BY uid", kind)

    async def references(self, after: str, limit: int) -> list[str]:
        """Up to `limit` referenced filenames after `after`, in walk order: one range scan of the primary key."""
        # DISTINCT would cost half as much again as the scan; what repeats stands side by side.
        scan = "SELECT key FROM reference WHERE key > ? ORDER BY key LIMIT ?"
        # SQLite joins what it scans, in that order, while other threads go on: one row costs less than thousands.
        joined = f"SELECT CAST(group_concat(key, '/') AS BLOB) FROM ({scan})"
        names: dict[str, None] = {}
        last, wanted = _key(after), limit
        while wanted:
            ((keys,),) = await self._read(joined, last, wanted)
            if keys is None:
                break
            with self._damage("a reference"):
                found = str(keys.translate(_SWAPPED), "utf-8").split("\0")
            names.update(dict.fromkeys(found))
            if len(found) < wanted:
                break
            last, wanted = _key(found[-1]), limit - len(names)
        return list(names)

    def on_change(self, callback: Callable[[frozenset[Kind]], None]) -> None:
        """Have `callback` called after each commit; with every kind when the engine goes away or comes back."""
        self._callbacks.append(callback)

    async def commit(self, *changes: Change) -> int:
        """Apply all changes or none, on the disk before it returns."""
        async with self._writing:
            with self._connections.guard(WRITE):
                writer = self._connections.writer
                if not changes:
                    return self._connections.revision
                await self._connections.still_there()
                try:
                    await writer.execute_fetchall("BEGIN IMMEDIATE")
                    revision = await _apply(writer, changes)
                    await writer.execute_fetchall("COMMIT")
                except BaseException as err:
                    try:
                        # Queued behind whatever a cancelled call left running in the connection's thread.
                        await writer.rollback()
                    finally:
                        if isinstance(err, asyncio.CancelledError):
                            # The COMMIT may have been done all the same.
                            self._tell(_kinds(changes))
                    raise
            self._connections.revision = revision
            self._connections.wrote()
        self._tell(_kinds(changes))
        return revision

    @property
    def kind(self) -> str:
        """The embedded engine's name."""
        return "sqlite"

    @property
    def age(self) -> None:
        """What is read is always the newest: nobody else writes this file."""
        return None

    @property
    def problem(self) -> str | None:
        """Why the database cannot be used, or could not be written for lack of room; None while all is well."""
        failure = self._connections.failure or self._connections.unwritten
        return failure.reason if failure else None

    async def reopen_if_needed(self) -> None:
        """A loop's work: try again to open a database that was away; raises Unavailable while it still is."""
        if not self._connections.sound:
            async with self._writing:
                await self._connections.reopen()
        if self._connections.failure is not None:
            raise self._connections.failure

    @property
    def revision(self) -> int:
        """The newest revision that is known."""
        return self._connections.revision

    async def check(self) -> list[str]:
        """An integrity check beside the work that goes on; with damage found, the store is not used any more."""
        if self._connections.failure is not None:
            return [self._connections.failure.reason]
        self._connections.need_room("check")
        try:
            found = await asyncio.to_thread(_faults, self._path)
        except Damaged as err:
            found = [err.reason]
        if found:
            self._connections.fail(Damaged(f"cannot use the database: it is damaged ({'; '.join(found)[:500]})"))
        return found

    async def size(self) -> int:
        """Bytes on disk, write-ahead log included."""
        return await asyncio.to_thread(sqlite_file.size, self._path)

    async def backup_size(self) -> int:
        """As many as the database."""
        return await self.size()

    async def reclaimable(self) -> dict[str, int]:
        """`optimize` where SQLite asks for it, `incremental-vacuum` and `checkpoint` where bytes wait."""
        async with self._writing:  # else a restore could close the connection in between
            with self._connections.guard("look into"):
                writer = self._connections.writer
                found: dict[str, int] = {}
                if await writer.execute_fetchall("PRAGMA optimize(-1)"):
                    found["optimize"] = 0
                page, free = [await _number(writer, f"PRAGMA {name}") for name in ("page_size", "freelist_count")]
                if page * free >= _WORTH_RECLAIMING:
                    found["incremental-vacuum"] = page * free
                waiting = await asyncio.to_thread(sqlite_file.log_size, self._path)
                if waiting >= _WORTH_RECLAIMING:
                    found["checkpoint"] = waiting
                return found

    async def reclaim(self, action: str) -> int:
        """Do one of them; returns the bytes freed. Raises NotFound for another word, Unavailable if not done."""
        if action not in ("optimize", "incremental-vacuum", "checkpoint"):
            raise NotFound(f"the database knows no action {action!r}")
        async with self._writing:
            with self._connections.guard("clean"):
                writer = self._connections.writer
                before = await self.size()
                if action != "checkpoint":
                    # As a script, which is run to its end: a single step of incremental_vacuum frees a single page.
                    await writer.executescript(f"PRAGMA {action.replace('-', '_')}")
                if action != "optimize":
                    # Answers whether somebody was in the way, who still reads what the log would be emptied of.
                    busy = await _number(writer, "PRAGMA wal_checkpoint(TRUNCATE)")
                    if busy and action == "checkpoint":
                        raise Unavailable("cannot empty the database's write-ahead log: somebody is reading it")
                return max(0, before - await self.size())

    async def backup(self, target: Path) -> int:
        """Write a copy that stands alone to `target`, mode 0600, beside the work that goes on; its size in bytes."""
        self._connections.need_room("back up")
        return await asyncio.to_thread(sqlite_file.copy_out, self._path, target)

    async def restore(self, source: Path, kinds: Collection[Kind] = tuple(Kind)) -> Path:
        """Put a checked copy of `source` in the database's place; returns where the old one was moved to."""
        async with self._writing:
            others = await self._others(kinds)
            await asyncio.to_thread(
                sqlite_file.stage, source, self._path, self._connections.revision, self._migrations, others
            )
            await self._connections.close(Unavailable("the database is being restored: try again in a moment"))
            try:
                with self._connections.guard("restore"):
                    aside = await asyncio.to_thread(sqlite_file.finish_restore, self._path)
            finally:
                await self._connections.open()
        log.warning("Database restored", backup=str(source), old=str(aside))
        return aside

    async def _others(self, kinds: Collection[Kind]) -> Callable[[sqlite3.Connection], None] | None:
        """What gives another database the records of all other kinds that are here; None where they cannot be had."""
        if self._connections.failure is not None or set(kinds) >= set(Kind):
            return None
        self._connections.need_room("restore")
        try:
            return await asyncio.to_thread(archive.others, self._path, kinds)
        except Damaged:
            return None

    async def _records(self, sql: str, kind: Kind, *parameters: str) -> list[Record]:
        rows = await self._read(sql, kind, *parameters)
        with self._damage(f"a record of kind {kind}"):
            return [Record(kind, uid, revision, _decode(body), name) for uid, revision, name, body in rows]

    @contextlib.contextmanager
    def _damage(self, what: str) -> Iterator[None]:
        """Around the reading of what was stored: SQLite has no checksums, so it may not be what was written."""
        try:
            yield
        except (msgspec.DecodeError, UnicodeDecodeError) as err:
            damaged = Damaged(f"cannot read the database: {what} is damaged")
            self._connections.fail(damaged)
            raise damaged from err

    async def _read(self, sql: str, *parameters: Any) -> list[Any]:
        with self._connections.guard("read"):
            return list(await self._connections.reader.execute_fetchall(sql, parameters))

    def _tell(self, kinds: frozenset[Kind]) -> None:
        for callback in self._callbacks:
            callback(kinds)


def _kinds(changes: tuple[Change, ...]) -> frozenset[Kind]:
    return frozenset(change.kind for change in changes)


def _key(filename: str) -> bytes:
    return walk_key(filename).encode()


def _faults(path: Path) -> list[str]:
    with sqlite_file.connected(path, "check", "ro") as connection:
        return faults(connection)


async def _number(connection: aiosqlite.Connection, sql: str, *parameters: Any) -> int:
    """The one number that a query answers, 0 where it answers nothing."""
    rows = await connection.execute_fetchall(sql, parameters)
    return next((int(row[0]) for row in rows), 0)


async def _apply(writer: aiosqlite.Connection, changes: tuple[Change, ...]) -> int:
    """Do all changes within the open transaction; returns their revision."""
    revision = await _number(writer, "UPDATE store SET revision = revision + 1 RETURNING revision")
    for change in changes:
        present = await _number(
            writer, "SELECT revision FROM record WHERE kind = ? AND uid = ?", change.kind, change.uid
        )
        expect(change, present or None)
        if isinstance(change, Put):
            await _put(writer, change, revision)
        else:
            await writer.execute_fetchall("DELETE FROM record WHERE kind = ? AND uid = ?", (change.kind, change.uid))
    return revision


async def _put(writer: aiosqlite.Connection, put: Put, revision: int) -> None:
    if put.name is not None:
        namesake = "SELECT 1 FROM record WHERE kind = ? AND name = ? AND uid != ?"
        if await _number(writer, namesake, put.kind, put.name, put.uid):
            raise name_taken(put)
    record = await _number(
        writer,
        "INSERT INTO record (kind, uid, revision, name, body) VALUES (?, ?, ?, ?, ?) ON CONFLICT (kind, uid)"
        " DO UPDATE SET revision = excluded.revision, name = excluded.name, body = excluded.body RETURNING id",
        *(put.kind, put.uid, revision, put.name, msgspec.json.encode(put.body).decode()),
    )
    await writer.execute_fetchall("DELETE FROM reference WHERE record = ?", (record,))
    if put.references:
        rows = [(_key(filename), record) for filename in put.references]
        async with writer.executemany("INSERT OR IGNORE INTO reference (key, record) VALUES (?, ?)", rows):
            pass

"""The two connections of the embedded engine, what keeps them from being used, and when to try again."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import aiosqlite
import structlog

from agent.adapters.sqlite import file as sqlite_file
from agent.adapters.sqlite.errors import Damaged, DiskFull, translate, translate_os
from agent.adapters.sqlite.file import Migrations
from agent.errors import Unavailable

log = structlog.get_logger()

WRITE = "write to"
"""What a write is called in errors."""
_ROOM = 4 * 2**20
"""Bytes that must be free before the second connection, or a write that found no room, is tried again."""


class Connections:
    """One connection that writes and one that reads, so that no read waits for the disk.

    `failure` is why they cannot be used; `told` is called whenever that begins or ends. On a full disk one
    connection does both, so that at least the references can be read and files removed: `cramped`.
    """

    def __init__(self, path: Path, backups: Path, migrations: Migrations, told: Callable[[], None]) -> None:
        self.path = path
        self.failure: Unavailable | None = Unavailable("the database is not open yet")
        self.cramped = False
        self.unwritten: DiskFull | None = None
        """Why the last write failed, when it was for lack of room; reading goes on."""
        self.revision = 0
        """The newest revision that is known; it never goes back while the agent runs."""
        self._backups = backups
        self._migrations = migrations
        self._told = told
        self._said: str | None = None
        self._writer: aiosqlite.Connection | None = None
        self._reader: aiosqlite.Connection | None = None
        self._file: tuple[int, int] | None = None

    @property
    def writer(self) -> aiosqlite.Connection:
        """The connection that writes; raises Unavailable."""
        return self._usable(self._writer)

    @property
    def reader(self) -> aiosqlite.Connection:
        """The connection that reads; raises Unavailable."""
        return self._usable(self._reader)

    @property
    def sound(self) -> bool:
        """Whether nothing has to be tried again."""
        return self.failure is None and not self.cramped and self.unwritten is None

    async def open(self) -> None:
        """Have the database checked and open; what prevents it is in `failure` afterwards."""
        try:
            try:
                await self._open(alone=False)
            except DiskFull as err:
                await self.close(err)
                await self._open(alone=True)
                log.warning(
                    "Database cannot be written",
                    file=str(self.path),
                    reason=err.reason,
                    effect="it can be read, so unused files can be removed to make room",
                )
        except Unavailable as err:
            await self.close(err)
            self.fail(err)
            return
        self._said = None
        if not self.cramped:
            self.unwritten = None
        if self.failure is not None:
            self.failure = None
            log.info("Database opened", file=str(self.path), revision=self.revision)
        self._told()

    async def reopen(self) -> None:
        """Try again what did not work: a database that was away, or the second connection once there is room."""
        if self.failure is None and self.cramped:
            if await asyncio.to_thread(sqlite_file.room, self.path) < _ROOM:
                return
            await self.close(Unavailable("the database is being opened again: try again in a moment"))
        if self.failure is not None and not isinstance(self.failure, Damaged):
            await self.open()
        elif self.failure is None and self.unwritten is not None and not self.cramped:
            await self._write_again()

    def wrote(self) -> None:
        """Note that a write worked."""
        if self.unwritten is not None:
            self.unwritten = None
            log.info("Database can be written again", file=str(self.path))

    async def _write_again(self) -> None:
        """Find out whether a write works again, by one that changes nothing."""
        if await asyncio.to_thread(sqlite_file.room, self.path) < _ROOM:
            return
        with contextlib.suppress(Unavailable), self.guard(WRITE):
            await self.writer.execute_fetchall("UPDATE store SET revision = revision")
            self.wrote()
            self._told()

    async def close(self, why: Unavailable) -> None:
        """Close both; from now on everybody is answered `why`."""
        self.failure = why
        for connection in dict.fromkeys((self._reader, self._writer)):
            if connection is not None:
                with contextlib.suppress(sqlite3.Error):
                    await connection.close()
        self._reader = self._writer = None

    def fail(self, why: Unavailable) -> None:
        """Stop using the database; said once for each reason, however often it is tried again."""
        self.failure = why
        if why.reason == self._said:
            return
        self._said = why.reason
        if isinstance(why, Damaged):
            todo = "the file is left as it is: bring back a backup with cw-headctl database restore"
        else:
            todo = "mend that; opening it is tried again by itself"
        log.error("Database unusable", file=str(self.path), reason=why.reason, todo=todo)
        self._told()

    @contextlib.contextmanager
    def guard(self, doing: str) -> Iterator[None]:
        """Around every use: no error of SQLite or the system gets out, and damage is remembered."""
        try:
            yield
        except sqlite3.Error as err:
            failure = translate(err, doing)
            if isinstance(failure, Damaged) and self.failure is None:
                self.fail(failure)
            if isinstance(failure, DiskFull) and doing == WRITE:
                self._cannot_write(failure)
            raise failure from err
        except OSError as err:
            raise translate_os(err, doing) from err

    async def still_there(self) -> None:
        """Raises Damaged when the file is no longer the one that was opened: what is written would be lost."""
        if await asyncio.to_thread(_identity, self.path) != self._file:
            moved = Damaged("cannot use the database: its file was moved or replaced while it was in use")
            self.fail(moved)
            raise moved

    def _cannot_write(self, why: DiskFull) -> None:
        if self.unwritten is None:
            todo = "make room on its disk; it can be read, so unused files can be removed"
            log.error("Database cannot be written", file=str(self.path), reason=why.reason, todo=todo)
        self.unwritten = why

    def need_room(self, doing: str) -> None:
        """Raises Unavailable unless another connection can be opened beside these."""
        if self.failure is not None:
            raise self.failure
        if self.cramped:
            raise DiskFull(f"cannot {doing} the database: the disk is full")

    def _usable(self, connection: aiosqlite.Connection | None) -> aiosqlite.Connection:
        if self.failure is not None or connection is None:
            raise self.failure or Unavailable("the database is closed")
        return connection

    async def _open(self, *, alone: bool) -> None:
        await asyncio.to_thread(sqlite_file.prepare, self.path, self._backups, self._migrations, alone=alone)
        with self.guard("open"):
            self._writer = self._reader = await self._connect(alone=alone)
            if not alone:
                self._reader = await self._connect(alone=False)
                await self._reader.execute_fetchall("PRAGMA query_only = ON")
            rows = await self._reader.execute_fetchall("SELECT revision FROM store")
            self._file = await asyncio.to_thread(_identity, self.path)
        self.revision = max(self.revision, *(row[0] for row in rows))
        self.cramped = alone

    async def _connect(self, *, alone: bool) -> aiosqlite.Connection:
        connection = await aiosqlite.connect(
            sqlite_file.address(self.path), uri=True, isolation_level=None, timeout=sqlite_file.BUSY_TIMEOUT
        )
        try:
            for pragma in (*(sqlite_file.ALONE if alone else ()), *sqlite_file.PRAGMAS):
                await connection.execute_fetchall(pragma)
        except BaseException:
            await connection.close()
            raise
        return connection


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino

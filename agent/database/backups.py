"""Backups of the database: made, listed, pruned and brought back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import structlog
from msgspec import Struct

from agent.config import Live
from agent.database.exclusive import Exclusive
from agent.errors import AgentError, NotFound, Unavailable
from agent.model import OBJECT_KINDS, rfc3339
from agent.ports import Clock, StoreEngine

log = structlog.get_logger()

T = TypeVar("T")

_STAMP = "%Y%m%dT%H%M%S.%fZ"
_NAME = re.compile(r"\d{8}T\d{6}\.\d{6}Z\.db", re.ASCII)
_UNFINISHED = ".unfinished"


class Backup(Struct, frozen=True):
    """One backup; `name` sorts by time, `made` is RFC 3339 UTC."""

    name: str
    bytes: int
    made: str


class Restored(Struct, frozen=True):
    """What a restore did: `replaced` is the name of the file that the former database was moved to."""

    name: str
    replaced: str


def surplus(backups: Sequence[Backup], kept: int, made: Backup | None = None) -> list[Backup]:
    """The oldest beyond the `kept` newest; `made` counts as the newest, even when the clock was set back."""
    others = sorted((backup for backup in backups if backup != made), key=lambda backup: backup.name)
    return others[: max(0, len(backups) - max(0, kept))]


class Backups:
    """The backups in one directory, newest `database.backups` of them.

    `restored` is awaited after a restore, for whoever keeps something of the database in memory.
    """

    def __init__(
        self,
        engine: StoreEngine,
        directory: Path,
        live: Live,
        clock: Clock,
        restored: Callable[[], Awaitable[object]],
    ) -> None:
        self._engine = engine
        self._directory = directory
        self._live = live
        self._clock = clock
        self._restored = restored
        self._exclusive = Exclusive()

    def doing(self, work: str) -> AbstractContextManager[None]:
        """The database's one turn for `work`, for a clean; raises Conflict when it is taken."""
        return self._exclusive.doing(work)

    async def listing(self) -> list[Backup]:
        """All backups, the newest first. Raises Unavailable when the directory cannot be read."""
        return await self._on_disk("list the backups", self._scan)

    async def make(self) -> Backup:
        """Write a backup and drop the oldest beyond `database.backups`; raises Conflict or Unavailable."""
        with self.doing("make a backup"):
            made = await self.write()
            for old in surplus(await self.listing(), self._live.config.database.backups, made):
                try:
                    await self.drop(old.name)
                except AgentError as err:  # the new one is made all the same
                    log.warning("Old backup not removed", backup=old.name, reason=err.reason)
        return made

    async def write(self) -> Backup:
        """Write a backup, durable when this returns; the caller has the turn. Raises Unavailable when there is none."""
        try:
            await self._on_disk("write a backup", self._prepare)
            await self._check_space()
            await self._engine.backup(self._directory / _UNFINISHED)
            backup = await self._on_disk("write a backup", self._publish)
        except AgentError as err:
            with contextlib.suppress(AgentError):
                await self._on_disk("clear up", self._prepare)
            log.warning("Backup failed", reason=err.reason, todo="mend that, or make room; no clean begins without one")
            raise Unavailable(f"{err.reason}; nothing was changed", code="no-backup") from err
        log.info("Backup written", backup=backup.name, bytes=backup.bytes)
        return backup

    async def drop(self, name: str) -> None:
        """Remove a backup; raises NotFound or Unavailable."""
        await self._known(name)
        await self._on_disk("remove a backup", lambda: (self._directory / name).unlink(missing_ok=True))
        log.info("Old backup removed", backup=name)

    async def restore(self, name: str) -> Restored:
        """Put a backup in the database's place, which may be damaged; the former database is moved aside.

        The objects are those of the backup. What makes the cluster stays as it is while it can be read: a head that
        was removed since then does not come back, and none falls out that has joined.

        Raises NotFound, Invalid (not a sound backup), Conflict or Unavailable; then nothing has changed.
        """
        with self.doing("restore a backup"):
            await self._known(name)
            replaced = await self._engine.restore(self._directory / name, OBJECT_KINDS)
            await self._restored()
        return Restored(name, replaced.name)

    async def _known(self, name: str) -> None:
        if not any(backup.name == name for backup in await self.listing()):
            todo = "`cw-headctl database backups` lists them"
            raise NotFound(f"there is no backup of that name: {todo}", code="no-such-backup")

    async def _check_space(self) -> None:
        needed = await self._engine.backup_size()
        free = await self._on_disk("write a backup", self._free)
        if needed > free:
            raise Unavailable(f"cannot write a backup: it takes up to {needed} bytes and the disk has {free} left")

    async def _on_disk(self, work: str, do: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(do)
        except OSError as err:
            raise Unavailable(f"cannot {work}: {err.strerror}") from err

    def _free(self) -> int:
        disk = os.statvfs(self._directory)
        return disk.f_bavail * disk.f_frsize

    def _prepare(self) -> None:
        """Clear away what a run that was cut off has left, the engine's own files beside it included."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in self._directory.glob(f"{_UNFINISHED}*"):
            left.unlink()

    def _publish(self) -> Backup:
        """Give the finished file its name: the moment at which the backup exists."""
        unfinished = self._directory / _UNFINISHED
        unfinished.chmod(0o600)
        at = self._clock.now().astimezone(UTC)
        while (target := self._directory / f"{at.strftime(_STAMP)}.db").exists():
            at += timedelta(microseconds=1)
        unfinished.rename(target)
        _sync(self._directory)
        _sync(self._directory.parent)  # where this was the first, the directory itself is new
        return Backup(target.name, target.stat().st_size, rfc3339(at))

    def _scan(self) -> list[Backup]:
        return sorted(self._found(), key=lambda backup: backup.name, reverse=True)

    def _found(self) -> Iterator[Backup]:
        try:
            entries = os.scandir(self._directory)
        except FileNotFoundError:
            return
        with entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False) and (made := _made(entry.name)):
                    yield Backup(entry.name, entry.stat(follow_symlinks=False).st_size, made)


def _sync(directory: Path) -> None:
    """Have the directory's entries reach the disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _made(name: str) -> str | None:
    """When the backup of that name was made, RFC 3339 UTC; None when it is not a backup's name."""
    if not _NAME.fullmatch(name):
        return None
    try:
        made = datetime.strptime(name, f"{_STAMP}.db").replace(tzinfo=UTC)
    except ValueError:
        return None
    return rfc3339(made)

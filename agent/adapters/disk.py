"""A disk of this head: how full it is, and what was put aside on it. Each has a thread of its own: it may hang."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from agent.diagnosis.disks import Aside, DiskSeen
from agent.errors import Unavailable

T = TypeVar("T")

_ASIDE = re.compile(
    r"(?P<name>.+\.before-(?:[a-z]+-)?(?P<stamp>\d{8}T\d{6}\.\d{6}Z))(?:-wal|-shm|-journal|\.restored)?"
)
"""What a change of engines or a restore gives other names; a database's companion files belong to it."""
_COPY = re.compile(r"copy-[0-9a-f]+\.db")
"""What keeps etcd's records for a start in which no other member answers; see `agent.adapters.etcd.lasting`."""


class Disk:
    """The disk that a directory lies on. Every question raises Unavailable when it cannot be looked at."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._thread = ThreadPoolExecutor(1, "disk")

    def close(self) -> None:
        """Wait for the look under way, and end the thread."""
        self._thread.shutdown(cancel_futures=True)

    async def look(self) -> DiskSeen:
        """How full it is, as `df` counts."""
        return await self._do(self._usage)

    async def aside(self, now: datetime, *others: Path) -> list[Aside]:
        """What was put aside in the directory, and in these others, by name; sizes are what it takes up on the disk."""
        return await self._do(lambda: _aside((self._directory, *others), now))

    async def copy(self, now: datetime) -> float | None:
        """Seconds since the directory's copy of etcd's records was last known to be the newest; None without one."""
        return await self._do(lambda: _copy(self._directory, now))

    async def _do(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except OSError as err:
            raise Unavailable(f"cannot look at {self._directory}: {err.strerror}") from err

    def _usage(self) -> DiskSeen:
        disk = os.statvfs(self._directory)
        used = disk.f_blocks - disk.f_bfree
        inodes = 100 * (disk.f_files - disk.f_ffree) / disk.f_files if disk.f_files else 0.0
        return DiskSeen(
            size=disk.f_blocks * disk.f_frsize,
            free=disk.f_bavail * disk.f_frsize,
            used=100 * used / max(used + disk.f_bavail, 1),
            inodes=inodes,
        )


def _copy(directory: Path, now: datetime) -> float | None:
    copies = [path.stat().st_mtime for path in directory.iterdir() if _COPY.fullmatch(path.name)]
    return now.timestamp() - max(copies) if copies else None


def _aside(directories: tuple[Path, ...], now: datetime) -> list[Aside]:
    found: dict[str, Aside] = {}
    for directory in dict.fromkeys(directories):
        for path in directory.iterdir():
            if match := _ASIDE.fullmatch(path.name):
                name, stamp = match["name"], match["stamp"]
                put = datetime.strptime(stamp, "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC)
                before = found[name].bytes if name in found else 0
                size = before + sum(_sizes(path))
                found[name] = Aside(name, size, (now - put).total_seconds())
    return [found[name] for name in sorted(found)]


def _sizes(path: Path) -> Iterator[int]:
    """Bytes of a file, or of all in a directory; no link is followed."""
    yield path.lstat().st_blocks * 512
    if path.is_dir() and not path.is_symlink():
        for above, directories, files in os.walk(path):
            for name in (*directories, *files):
                yield (Path(above) / name).lstat().st_blocks * 512

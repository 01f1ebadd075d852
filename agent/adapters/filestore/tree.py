"""The file store's directory, open: paths are resolved below it, part by part, never through a symbolic link."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from types import TracebackType

from agent.adapters.filestore.walk import DIRECTORY
from agent.model import FileFacts


class Tree:
    """The root, opened once; what has changed its place meanwhile is simply not there any more. Closes at block end."""

    def __init__(self, root: Path) -> None:
        mountinfo = Path("/proc/self/mountinfo").read_text(errors="surrogateescape")
        self.fd = os.open(root, DIRECTORY)
        self.mounts = mounts_below(os.readlink(f"/proc/self/fd/{self.fd}"), mountinfo)
        self._device = os.fstat(self.fd).st_dev
        self._folder = ""
        self._folder_fd = self.fd

    def __enter__(self) -> Tree:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()
        os.close(self.fd)

    def parent(self, filename: str, *, make: bool = False) -> tuple[int, str]:
        """The directory that the file is in, open until the next call, and the file's name there; raises OSError.

        `make`: directories that are missing are made.
        """
        folder, _, name = _checked(filename).rpartition("/")
        if folder != self._folder:
            self._leave()
            fd = self.fd
            try:
                for part in folder.split("/") if folder else ():
                    inner = _enter(fd, part, make=make)
                    if fd != self.fd:
                        os.close(fd)
                    fd = inner
            except OSError:
                if fd != self.fd:
                    os.close(fd)
                raise
            self._folder, self._folder_fd = folder, fd
        return self._folder_fd, name

    def facts(self, filename: str) -> FileFacts:
        """What lies at that place, be it a file or not; raises OSError."""
        folder, name = self.parent(filename)
        return self.as_facts(filename, os.stat(name, dir_fd=folder, follow_symlinks=False))

    def as_facts(self, filename: str, status: os.stat_result) -> FileFacts:
        """The facts out of a stat."""
        return FileFacts(
            filename=filename,
            device=status.st_dev,
            inode=status.st_ino,
            size=status.st_size,
            mtime=status.st_mtime_ns,
            ctime=status.st_ctime_ns,
            links=status.st_nlink,
            regular=(status.st_mode & 0o170000) == 0o100000,
            mounted=filename in self.mounts,
            elsewhere=status.st_dev != self._device,
        )

    def _leave(self) -> None:
        if self._folder_fd != self.fd:
            os.close(self._folder_fd)
        self._folder, self._folder_fd = "", self.fd


def _checked(filename: str) -> str:
    """A path that can only lead down; raises FileNotFoundError for any other, since the store has none such."""
    try:
        possible = "\0" not in filename and bool(os.fsencode(filename))
    except UnicodeEncodeError:
        possible = False
    if not possible or any(part in ("", ".", "..") for part in filename.split("/")):
        raise FileNotFoundError(errno.ENOENT, "no path below the root")
    return filename


def _enter(parent: int, name: str, *, make: bool) -> int:
    try:
        return os.open(name, DIRECTORY, dir_fd=parent)
    except FileNotFoundError:
        if not make:
            raise
    # The store's group may write there, as everywhere in the store. It comes from the directory above, with the bit
    # that hands it down: to ask for that bit is what the unit's RestrictSUIDSGID= refuses. What other threads make in
    # this moment lies in directories that are the agent's alone.
    mask = os.umask(0o002)
    try:
        os.mkdir(name, 0o775, dir_fd=parent)
    finally:
        os.umask(mask)
    return os.open(name, DIRECTORY, dir_fd=parent)


def mounts_below(root: str, mountinfo: str) -> frozenset[str]:
    """The paths, relative to `root`, at which something is mounted (proc(5), mountinfo)."""
    inside = root.rstrip("/") + "/"
    points = (_unescape(line.split(" ", 5)[4]) for line in mountinfo.splitlines())
    return frozenset(point.removeprefix(inside) for point in points if point.startswith(inside))


def _unescape(text: str) -> str:
    """A path of /proc/self/mountinfo, where blanks and backslashes stand as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)

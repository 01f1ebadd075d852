"""The trash of the file store: `.trash/<slot>/<escaped name>`, filled by renames and nothing else.

The rename is the only record, so that a removal needs no space and can be cut off anywhere: a file is in its place
or in the trash, and its ctime, set by the rename, tells since when. One slot holds one file of a name.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType

from agent.adapters.filestore.renames import rename_new
from agent.adapters.filestore.tree import Tree
from agent.adapters.filestore.walk import DIRECTORY
from agent.files.unused import listable
from agent.model import FileFacts, TrashedFile

TRASH = ".trash"
AHEAD = 3
"""Empty slots that are made ahead: on a full disk none could be made."""
RESERVE = 2**20
"""Bytes kept to be given back when a slot's directory must grow on a full disk."""

_CLOCK = "clock"
_RESERVE = "reserve"


def escape(filename: str) -> str:
    """A path as one name: "/" becomes %2F, and "%" itself %25."""
    return filename.replace("%", "%25").replace("/", "%2F")


def unescape(name: str) -> str | None:
    """The path that was escaped to `name`; None when it was none that could have been removed."""
    filename = name.replace("%2F", "/").replace("%25", "%")
    return filename if escape(filename) == name and listable(filename) else None


class Trash:
    """The trash of an open store. Raises OSError; FileNotFoundError from the start when there is none yet."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._slots: dict[str, int] = {}
        self._fd = os.open(TRASH, DIRECTORY, dir_fd=tree.fd)
        self._names = sorted((name for name in os.listdir(self._fd) if name.isascii() and name.isdigit()), key=int)

    @classmethod
    def made(cls, tree: Tree) -> Trash:
        """The trash, made if there is none."""
        with suppress(FileExistsError):
            os.mkdir(TRASH, 0o700, dir_fd=tree.fd)
        return cls(tree)

    def __enter__(self) -> Trash:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        for fd in (*self._slots.values(), self._fd):
            os.close(fd)

    def prepare(self) -> None:
        """Have empty slots and the reserve at hand, as far as the disk has room; raises OSError without any slot."""
        empty = sum(self._is_empty(slot) for slot in self._names)
        try:
            for _ in range(AHEAD - empty):
                self._new_slot()
        except OSError as err:
            if err.errno != errno.ENOSPC or not self._names:
                raise
            return
        with suppress(OSError):
            self.now()
            fd = self._file(_RESERVE)
            try:
                if os.fstat(fd).st_size < RESERVE:
                    os.posix_fallocate(fd, 0, RESERVE)
            finally:
                os.close(fd)

    def now(self) -> int:
        """Nanoseconds by the filesystem's clock: the time that it stamps on a file of the trash's own."""
        fd = self._file(_CLOCK)
        try:
            os.utime(fd)
            return os.fstat(fd).st_mtime_ns
        finally:
            os.close(fd)

    def take(self, facts: FileFacts) -> TrashedFile:
        """Rename the file into the first slot that holds none of its name; raises OSError."""
        folder, name = self._tree.parent(facts.filename)
        target = escape(facts.filename)
        for slot in self._usable_slots():
            try:
                self._rename(name, folder, target, self._slot(slot))
            except FileExistsError:
                continue
            return TrashedFile(facts.filename, slot, facts.size, 0, facts.inode)
        raise FileExistsError(errno.EEXIST, "every slot of the trash holds a file of this name")

    def put_back(self, file: TrashedFile) -> None:
        """Rename the file to where it was, with the directories that it needs; raises OSError."""
        folder, name = self._tree.parent(file.filename, make=True)
        rename_new(escape(file.filename), self._slot(file.slot), name, folder)

    def inode(self, file: TrashedFile) -> int:
        """The inode that lies in that slot under that name; raises OSError."""
        return os.stat(escape(file.filename), dir_fd=self._slot(file.slot), follow_symlinks=False).st_ino

    def unlink(self, file: TrashedFile) -> None:
        """Remove the file for good; raises OSError."""
        os.unlink(escape(file.filename), dir_fd=self._slot(file.slot))

    def listing(self) -> list[TrashedFile]:
        """What lies in the slots, the oldest first."""
        return sorted(self._files(), key=lambda file: (file.deleted, file.filename, file.slot))

    def _files(self) -> Iterator[TrashedFile]:
        for slot in self._names:
            with os.scandir(self._slot(slot)) as entries:
                for entry in entries:
                    filename = unescape(entry.name)
                    if filename is None or not entry.is_file(follow_symlinks=False):
                        continue
                    with suppress(FileNotFoundError):
                        status = entry.stat(follow_symlinks=False)
                        yield TrashedFile(filename, slot, status.st_size, status.st_ctime_ns, status.st_ino)

    def _rename(self, name: str, folder: int, target: str, slot: int) -> None:
        try:
            rename_new(name, folder, target, slot)
        except OSError as err:
            if err.errno != errno.ENOSPC:
                raise
            self._free_reserve()
            rename_new(name, folder, target, slot)

    def _free_reserve(self) -> None:
        fd = self._file(_RESERVE)
        try:
            os.truncate(fd, 0)
            os.fsync(fd)  # the blocks are free once this is on disk
        finally:
            os.close(fd)

    def _usable_slots(self) -> Iterator[str]:
        """The slots there are, and when all have been tried, a new one if the disk has room."""
        yield from tuple(self._names)
        yield self._new_slot()

    def _new_slot(self) -> str:
        slot = f"{int(self._names[-1]) + 1 if self._names else 1:04d}"
        os.mkdir(slot, 0o700, dir_fd=self._fd)
        self._names.append(slot)
        return slot

    def _is_empty(self, slot: str) -> bool:
        with os.scandir(self._slot(slot)) as entries:
            return next(entries, None) is None

    def _slot(self, name: str) -> int:
        if name not in self._slots:
            self._slots[name] = os.open(name, DIRECTORY, dir_fd=self._fd)
        return self._slots[name]

    def _file(self, name: str) -> int:
        """One of the trash's own files, made if it is not there; raises BlockingIOError under a lease.

        Whoever may write in the store could have put another trash there, and the kernel would wait for 45 seconds.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        return os.open(name, flags, 0o600, dir_fd=self._fd)

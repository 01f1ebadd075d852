"""Leases: the kernel's word on whether anybody has a file open, mapped, loop-mounted or swaps on it."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import struct
from types import TracebackType

OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""How a file is opened: never through a symbolic link, and without waiting for a FIFO's or a lease's other end."""

_F_OFD_GETLK = 36
_FLOCK = struct.Struct("hhqqi4x")

IN_USE = "is in use"


def ignore_lease_breaks() -> None:
    """Have the kernel's SIGIO, sent when somebody wants a leased file, not end the process. From the main thread."""
    signal.signal(signal.SIGIO, signal.SIG_IGN)


class Lease:
    """A write lease on an open file (fcntl(2), F_SETLEASE), while the block lasts.

    `refused` says why there is none. Whoever opens the file meanwhile waits until the block ends, and the kernel
    for 45 seconds at most (fs.lease-break-time). Needs CAP_LEASE, or to own the file.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.refused: str | None = None

    def __enter__(self) -> Lease:
        try:
            fcntl.fcntl(self._fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        except OSError as err:
            if err.errno == errno.EAGAIN:
                self.refused = IN_USE
            else:
                self.refused = f"counts as in use, since that cannot be found out: {os.strerror(err.errno or 0)}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.refused is None:
            fcntl.fcntl(self._fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)

    @property
    def wanted(self) -> bool:
        """Whether somebody has begun to open the file, or to change it, since the lease was granted."""
        return fcntl.fcntl(self._fd, fcntl.F_GETLEASE) != fcntl.F_WRLCK


def locked(fd: int) -> bool:
    """Whether anybody holds a lock on the file: flock(2), or fcntl(2) of a process or of an open file."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(fd, fcntl.LOCK_UN)
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    return bool(_FLOCK.unpack(fcntl.fcntl(fd, _F_OFD_GETLK, asked))[0] != fcntl.F_UNLCK)

"""Two calls of Linux that Python does not offer: a rename that never replaces, and a filesystem's type."""

from __future__ import annotations

import ctypes
import os

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.renameat2.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
_LIBC.fstatfs.argtypes = (ctypes.c_int, ctypes.c_char_p)
_RENAME_NOREPLACE = 1

TRUSTED_TYPES = {0xEF53: "ext4", 0x01021994: "tmpfs"}
"""f_type of statfs(2) -> filesystems on which leases were found to see every user of a file."""


def rename_new(source: str, source_dir: int, target: str, target_dir: int) -> None:
    """Rename, atomically and only if `target` does not exist (renameat2(2)); raises OSError."""
    done = _LIBC.renameat2(source_dir, os.fsencode(source), target_dir, os.fsencode(target), _RENAME_NOREPLACE)
    if done != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def filesystem_type(fd: int) -> int:
    """The f_type of the filesystem that an open file lies on; raises OSError."""
    # struct statfs is 120 bytes on 64-bit Linux and begins with f_type, a long.
    answer = ctypes.create_string_buffer(256)
    if _LIBC.fstatfs(fd, answer) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return int.from_bytes(answer.raw[: ctypes.sizeof(ctypes.c_long)], "little") & 0xFFFFFFFF

"""Small files of the agent's own, replaced at once and for good: after a crash the old one is there or the new one."""

from __future__ import annotations

import os
from pathlib import Path

from agent.errors import Unavailable


def replace(path: Path, content: bytes) -> None:
    """Have a file, mode 0600, hold this: written aside, synced, renamed. Raises Unavailable. Blocks."""
    aside = path.with_name(f".{path.name}.new")
    try:
        aside.unlink(missing_ok=True)
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        aside.replace(path)
        sync(path.parent)
    except OSError as err:
        raise Unavailable(f"cannot write {path}: {err.strerror}") from err


def sync(path: Path) -> None:
    """Have a file's content, or a directory's entries, reach the disk. Raises OSError. Blocks."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Which files are unused, and why the others are not: pure decisions over what the filesystem said."""

from __future__ import annotations

import re

from agent.model import FileFacts

UNTRUSTED_AGE = 86400.0
"""The least `min_age`, in seconds, where leases are not known to see every user of a file."""

_SECOND = 10**9
_PART = ".part"
_LEFTOVER = re.compile(r"\.part\Z|\.old\.\d+\Z")


def listable(filename: str) -> bool:
    """Whether a file can be listed at all: no part of its path begins with a dot, and all of it is UTF-8."""
    if filename.startswith(".") or "/." in filename:
        return False
    try:
        filename.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_upload(filename: str) -> bool:
    """Whether the name is that of an upload under way, or of one that died."""
    return filename.endswith(_PART)


def why_unused(filename: str) -> str:
    """The `reason` of an unused file: a leftover of an upload or of a replacement, or just unreferenced."""
    return "leftover" if _LEFTOVER.search(filename) else "unreferenced"


def least_age(min_age: float, *, trusted: bool) -> float:
    """The age, in seconds, that a file must have: more where an open file might not be noticed."""
    return min_age if trusted else max(min_age, UNTRUSTED_AGE)


def why_kept(facts: FileFacts, now: int, min_age: float) -> str | None:
    """Why an unreferenced file stays, whether or not it is in use; None: nothing speaks for it.

    `now` is nanoseconds by the filesystem's clock, `min_age` seconds. Both times count: a copy may keep the mtime of
    long ago, and a rename or a restore changes only the ctime.
    """
    if facts.mounted:
        return "is a mount point"
    if facts.elsewhere:
        return (
            "is on another device than the directory of the store, as below a mount or on overlayfs: "
            "whether anybody uses it cannot be told there"
        )
    if facts.links > 1:
        return f"has {facts.links - 1} more hard link{'s' if facts.links > 2 else ''}: removing one name frees nothing"
    age = (now - max(facts.mtime, facts.ctime)) / _SECOND
    if age < 0:
        return "was last changed in the future: the clock was set back, or the time was made up"
    if age < min_age:
        return f"is only {age:.0f} s old: files.min_age is {min_age:g} s"
    return None


def objection(going: int, scanned: int, references: int) -> str | None:
    """Why a removal of `going` files out of `scanned` looks like a mistake; None when it does not."""
    if not going:
        return None
    if not references:
        return "no object refers to any file, so every file would count as unused: is this the right database?"
    if 2 * going > scanned:
        return f"{going} of {scanned} files would go, more than half of the store: is this the right database?"
    return None

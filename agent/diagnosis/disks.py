"""Disks, and what fills them unasked: trash, backups, what engine changes put aside. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from agent.diagnosis.finding import Finding, amount, days, failed, ok, warning

FULL, NEARLY = 98.0, 90.0
"""Percent of blocks or inodes from which a disk counts as full, or nearly so."""
DAY = 86400.0
LEFTOVER_AGE, LEFTOVER_SHARE = 30 * DAY, 0.1
"""What was put aside is told of once nobody will want it back, or when it takes up so much of its disk."""
BACKUP_AGE, GRACE = 30 * DAY, 7 * DAY
"""How old the newest backup may be; for how long a new head may be without one."""


class DiskSeen(Struct, frozen=True):
    """A disk with something of the agent's on it, in bytes and percent."""

    size: int
    free: int
    used: float
    inodes: float
    """Percent of the inodes that are used; 0 where there is no limit to them."""


class Aside(Struct, frozen=True):
    """What a change of engines, or a restore, put aside."""

    name: str
    bytes: int
    age: float
    """Seconds."""


def disk(subject: str, seen: DiskSeen, todo: str, watermark: float = NEARLY) -> list[Finding]:
    """Whether a disk has room; `watermark`: the percentage from which that is told."""
    room = f"{seen.used:.0f} % used, {amount(seen.free)} free"
    if seen.used >= FULL:
        return [failed("disk", subject, f"the disk is full: {room}", todo)]
    if seen.inodes >= FULL:
        return [failed("disk", subject, f"the disk has no inodes left: {seen.inodes:.0f} % used", todo)]
    if seen.used > watermark:
        return [warning("disk", subject, f"the disk is nearly full: {room}", todo)]
    if seen.inodes > NEARLY:
        return [warning("disk", subject, f"the disk is short of inodes: {seen.inodes:.0f} % used", todo)]
    return [ok("disk", subject, room)]


def leftovers(found: Sequence[Aside], state: DiskSeen) -> list[Finding]:
    """What was put aside and nobody removes: the records as they were before a change of engines or a restore."""
    if not found:
        return [ok("leftovers", "state directory", "nothing was put aside")]
    total = sum(one.bytes for one in found)
    oldest = max(one.age for one in found)
    names = ", ".join(one.name for one in found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
    detail = f"put aside, never removed: {names}; {amount(total)}"
    if oldest < LEFTOVER_AGE and total < LEFTOVER_SHARE * state.size:
        return [ok("leftovers", "state directory", detail)]
    todo = (
        "if the records are all there, remove them as root from the agent's state directory "
        "(/usr/share/doc/clusterware-head-agent/docs/operations.md)"
    )
    return [warning("leftovers", "state directory", f"{detail}, the oldest for {days(oldest)}", todo)]


def backups(newest: float | None, kept: int, age: float) -> list[Finding]:
    """Whether there is a backup of late: `newest` is its age, `age` how long this head has been there, in seconds."""
    todo = "make one with `cw-headctl database backup`, and have a timer do so"
    if newest is None:
        if age < GRACE:
            return [ok("backups", "database", "none yet")]
        return [warning("backups", "database", "there is no backup", todo)]
    if newest > BACKUP_AGE:
        return [warning("backups", "database", f"the newest backup is {days(newest)} old", todo)]
    return [ok("backups", "database", f"{kept} kept, the newest {days(max(0.0, newest))} old")]


def trash(files: int, size: int, oldest: float, ttl: float) -> list[Finding]:
    """What is in the trash; `oldest` and `ttl` are seconds. What stays beyond its time could not be let go."""
    if not files:
        return [ok("trash", "file store", "the trash is empty")]
    detail = f"{files} files, {amount(size)} in the trash"
    if oldest > ttl + DAY:
        todo = "see `cw-headctl logs --priority warning`: while references cannot be asked, nothing expires"
        return [warning("trash", "file store", f"{detail}; the oldest should be gone for {days(oldest - ttl)}", todo)]
    return [ok("trash", "file store", detail)]

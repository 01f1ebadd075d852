"""Disks, what was put aside, backups and the trash: when each is worth telling."""

from __future__ import annotations

import pytest

from agent.diagnosis.disks import DAY, Aside, DiskSeen, backups, disk, leftovers, trash
from agent.diagnosis.finding import Level

GIB = 2**30


def seen(used: float = 50.0, inodes: float = 10.0, size: int = 100 * GIB) -> DiskSeen:
    return DiskSeen(size, int(size * (100 - used) / 100), used, inodes)


@pytest.mark.parametrize(
    ("used", "inodes", "watermark", "level", "words"),
    [
        (50, 10, 90, Level.OK, "50 % used"),
        (90, 10, 90, Level.OK, "90 % used"),
        (91, 10, 90, Level.WARNING, "nearly full"),
        (86, 10, 85, Level.WARNING, "nearly full"),
        (98, 10, 85, Level.FAILED, "is full"),
        (10, 91, 90, Level.WARNING, "short of inodes"),
        (10, 98, 90, Level.FAILED, "no inodes left"),
        (100, 100, 90, Level.FAILED, "is full"),
    ],
)
def test_a_disk_is_judged_by_blocks_and_inodes(
    used: float, inodes: float, watermark: float, level: Level, words: str
) -> None:
    (finding,) = disk("file store", seen(used, inodes), "make room", watermark)
    assert (finding.subject, finding.level) == ("file store", level)
    assert words in finding.detail


@pytest.mark.parametrize(
    ("age", "size", "level"),
    [
        (1 * DAY, GIB, Level.OK),
        (29 * DAY, GIB, Level.OK),
        (31 * DAY, 1, Level.WARNING),
        (1 * DAY, 11 * GIB, Level.WARNING),
    ],
)
def test_what_was_put_aside_is_listed_and_a_warning_once_it_is_old_or_large(
    age: float, size: int, level: Level
) -> None:
    (finding,) = leftovers([Aside("etcd-0.before-x", size, age)], seen())
    assert finding.level is level
    assert "etcd-0.before-x" in finding.detail


def test_of_many_that_were_put_aside_some_are_named_and_all_are_counted() -> None:
    (finding,) = leftovers([Aside(f"copy-{n}.before-x", 2**20, n * DAY) for n in range(40)], seen())
    assert "and 37 more; 40.0 MiB" in finding.detail
    assert "39 days" in finding.detail


def test_nothing_put_aside_is_well() -> None:
    assert leftovers([], seen())[0].level is Level.OK


@pytest.mark.parametrize(
    ("newest", "age", "level"),
    [
        (None, 6 * DAY, Level.OK),
        (None, 8 * DAY, Level.WARNING),
        (0.0, 99 * DAY, Level.OK),
        (-5.0, 99 * DAY, Level.OK),
        (29 * DAY, 99 * DAY, Level.OK),
        (31 * DAY, 99 * DAY, Level.WARNING),
    ],
)
def test_a_head_needs_a_backup_of_late_once_it_is_not_new_any_more(
    newest: float | None, age: float, level: Level
) -> None:
    (finding,) = backups(newest, 1, age)
    assert finding.level is level


@pytest.mark.parametrize(
    ("files", "oldest", "level"), [(0, 0, Level.OK), (2, 7 * DAY, Level.OK), (2, 9 * DAY, Level.WARNING)]
)
def test_trash_that_stays_beyond_its_time_is_told(files: int, oldest: float, level: Level) -> None:
    (finding,) = trash(files, 4096, oldest, 7 * DAY)
    assert finding.level is level

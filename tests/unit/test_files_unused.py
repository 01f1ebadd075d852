"""The decisions: which files are unused, why others are not, and when the trash lets go."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from agent.files.expiry import expired, may_go_early
from agent.files.survey import timestamp
from agent.files.unused import least_age, listable, objection, why_kept, why_unused
from agent.model import FileFacts, TrashedFile

SECOND = 10**9
NOW = 1_900_000_000 * SECOND
HOUR = 3600.0
OLD = FileFacts("a", 1, 2, 3, NOW - 7200 * SECOND, NOW - 7200 * SECOND, 1, regular=True, mounted=False)


def test_an_old_file_with_one_link_is_not_kept() -> None:
    assert why_kept(OLD, NOW, HOUR) is None


@pytest.mark.parametrize("which", ["mtime", "ctime"])
def test_a_file_is_as_young_as_the_younger_of_its_times(which: str) -> None:
    facts = replace(OLD, **{which: NOW - 3599 * SECOND})
    assert "only 3599 s old" in (why_kept(facts, NOW, HOUR) or "")
    assert why_kept(replace(OLD, **{which: NOW - 3600 * SECOND}), NOW, HOUR) is None


@pytest.mark.parametrize("which", ["mtime", "ctime"])
def test_a_time_in_the_future_keeps_a_file(which: str) -> None:
    assert "future" in (why_kept(replace(OLD, **{which: NOW + 1}), NOW, 0.0) or "")


def test_a_second_link_and_a_mount_keep_a_file() -> None:
    assert "1 more hard link:" in (why_kept(replace(OLD, links=2), NOW, HOUR) or "")
    assert "2 more hard links:" in (why_kept(replace(OLD, links=3), NOW, HOUR) or "")
    assert why_kept(replace(OLD, mounted=True, elsewhere=True), NOW, HOUR) == "is a mount point"
    assert "another device" in (why_kept(replace(OLD, elsewhere=True), NOW, HOUR) or "")


@pytest.mark.parametrize(
    ("filename", "reason"),
    [
        ("a", "unreferenced"),
        ("a.part", "leftover"),
        ("d/a.part", "leftover"),
        ("a.old.00", "leftover"),
        ("a.old.1", "leftover"),
        ("a.part.iso", "unreferenced"),
        ("a.old", "unreferenced"),
        ("a.old.x", "unreferenced"),
        ("a.old.1.gz", "unreferenced"),
        ("a.part\n", "unreferenced"),
    ],
)
def test_the_reason_tells_leftovers_apart(filename: str, reason: str) -> None:
    assert why_unused(filename) == reason


@pytest.mark.parametrize(
    ("filename", "answer"),
    [
        ("a", True),
        ("a/b.c", True),
        (".a", False),
        ("a/.b", False),
        (".a/b", False),
        ("caf\udce9", False),
        ("é\n", True),
    ],
)
def test_dot_files_and_what_is_not_utf8_are_never_listed(filename: str, answer: bool) -> None:  # noqa: FBT001
    assert listable(filename) is answer


def test_where_leases_may_be_wrong_a_file_must_be_a_day_old() -> None:
    assert least_age(60.0, trusted=True) == 60.0
    assert least_age(60.0, trusted=False) == 86400.0
    assert least_age(2 * 86400.0, trusted=False) == 2 * 86400.0


@pytest.mark.parametrize(
    ("going", "scanned", "references", "objects_to"),
    [(0, 0, 0, False), (0, 5, 0, False), (1, 5, 0, True), (2, 4, 9, False), (3, 5, 9, True), (1, 1, 9, True)],
)
def test_a_removal_of_too_much_is_objected_to(
    going: int,
    scanned: int,
    references: int,
    objects_to: bool,  # noqa: FBT001
) -> None:
    assert (objection(going, scanned, references) is not None) is objects_to


def _trashed(age: float, name: str = "a") -> TrashedFile:
    return TrashedFile(name, "1", 1, NOW - int(age * SECOND), 1)


def test_trash_expires_after_its_time_and_never_before_an_hour() -> None:
    assert expired([_trashed(101 * HOUR), _trashed(99 * HOUR)], NOW, 100 * HOUR) == [_trashed(101 * HOUR)]
    assert expired([_trashed(3599)], NOW, 0.0) == []


def test_the_oldest_goes_early_first_and_none_within_an_hour() -> None:
    trash = [_trashed(2 * HOUR, "young"), _trashed(3599, "fresh"), _trashed(3 * HOUR, "old")]
    assert [file.filename for file in may_go_early(trash, NOW)] == ["old", "young"]


def test_a_time_that_no_calendar_has_is_told_as_its_nearest_end() -> None:
    assert timestamp(0) == "1970-01-01T00:00:00.000Z"
    assert timestamp(2**63).startswith("2262")
    assert timestamp(10**30) == "9999-12-31T00:00:00.000Z"
    assert timestamp(-(10**30)) == "0001-01-01T00:00:00.000Z"

"""What a clean decides to do, and how it names it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.database.backups import Backup, surplus
from agent.database.plan import Seen, decide, digest, why_forget
from agent.model import CleanAction, Departure, Kind, Record, Tombstone
from agent.ports import Leftover

NOW = datetime(2030, 5, 1, tzinfo=UTC)
DAY = 86400.0
UID, SELF = "a" * 32, "b" * 32
BACKUPS = [Backup(f"2030010{n}T000000.000000Z.db", 100, "") for n in range(1, 6)]


def tombstone(days_ago: float) -> Record:
    at = (NOW - timedelta(days=days_ago)).isoformat().replace("+00:00", "Z")
    return Record(Kind.TOMBSTONE, UID, 7, msgspec.to_builtins(Tombstone(Departure.REMOVED, at, 1)))


def seen(
    tombstones: Sequence[Record] = (),
    leftovers: Sequence[Leftover] = (),
    backups: Sequence[Backup] = (),
    reclaimable: Mapping[str, int] | None = None,
    kept: int = 5,
) -> Seen:
    return Seen(NOW, SELF, {SELF}, tombstones, leftovers, backups, reclaimable or {}, "sqlite", 30 * DAY, kept)


def test_tombstone_is_kept_until_its_time_is_over() -> None:
    assert why_forget(tombstone(30), {SELF}, SELF, NOW, 30 * DAY) is None
    assert "30 days" in (why_forget(tombstone(30.001), {SELF}, SELF, NOW, 30 * DAY) or "")
    assert why_forget(tombstone(-400), {SELF}, SELF, NOW, 30 * DAY) is None


def test_tombstone_of_this_head_is_kept_so_that_it_does_not_come_back_by_itself() -> None:
    assert why_forget(tombstone(400), {SELF}, UID, NOW, 30 * DAY) is None


@pytest.mark.parametrize("body", [{}, {"departure": "left", "at": "yesterday", "generation": 1}, {"at": None}])
def test_tombstone_that_cannot_be_read_is_kept(body: dict[str, object]) -> None:
    assert why_forget(Record(Kind.TOMBSTONE, UID, 1, body), {SELF}, SELF, NOW, 0) is None


def test_tombstone_without_a_time_zone_is_kept() -> None:
    body = {"departure": "left", "at": "2001-01-01T00:00:00", "generation": 1}
    assert why_forget(Record(Kind.TOMBSTONE, UID, 1, body), {SELF}, SELF, NOW, DAY) is None


def test_nothing_to_do_is_an_empty_plan() -> None:
    assert decide(seen(tombstones=[tombstone(1)], backups=BACKUPS)) == []


def test_order_is_records_files_backups_engine() -> None:
    plan = decide(
        seen([tombstone(99)], [Leftover("upload", "x.part", "dead", 9)], BACKUPS, {"vacuum": 5}),
    )
    assert [(a.action, a.kind, a.bytes) for a in plan] == [
        ("forget", "tombstone", None),
        ("remove", "upload", 9),
        ("remove", "backup", 100),
        ("vacuum", "engine", 5),
    ]


def test_room_is_made_for_the_backup_that_the_clean_begins_with() -> None:
    assert [a.target for a in decide(seen(reclaimable={"vacuum": 5}, backups=BACKUPS))] == [BACKUPS[0].name, "sqlite"]
    assert [a.target for a in decide(seen(backups=BACKUPS, kept=4))] == [b.name for b in BACKUPS[:2]]
    assert [a.target for a in decide(seen(reclaimable={"vacuum": 5}, backups=BACKUPS[:4]))] == ["sqlite"]


@given(st.permutations(BACKUPS), st.integers(0, 7))
def test_surplus_is_the_oldest_whatever_the_order(backups: list[Backup], kept: int) -> None:
    assert surplus(backups, kept) == BACKUPS[: max(0, 5 - kept)]


@given(st.sampled_from(BACKUPS), st.integers(1, 7))
def test_backup_just_made_is_never_surplus_and_counts(made: Backup, kept: int) -> None:
    gone = surplus(BACKUPS, kept, made)
    assert made not in gone
    assert len(gone) == max(0, 5 - kept)


actions = st.lists(
    st.builds(CleanAction, st.text(), st.text(), st.text(), st.text(), st.none() | st.integers(0)), max_size=6
)


@given(actions, st.text(), st.integers(0))
def test_digest_covers_what_is_done_and_neither_sizes_nor_reasons(
    plan: list[CleanAction], reason: str, size: int
) -> None:
    other = [msgspec.structs.replace(action, reason=reason, bytes=size) for action in plan]
    assert digest(other) == digest(plan)


@given(actions, actions)
def test_digest_tells_different_plans_apart(one: list[CleanAction], other: list[CleanAction]) -> None:
    def what(plan: list[CleanAction]) -> list[tuple[str, str, str]]:
        return sorted((a.action, a.kind, a.target) for a in plan)

    assert (digest(one) == digest(other)) == (what(one) == what(other))

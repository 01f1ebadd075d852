"""Who may judge, and what is known without heartbeats."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.heads.liveness import Standing, State, standing, unwatched
from tests.support.people import ME, OTHER, PEER, STRANGER, head, members

STARTED = datetime(2030, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("of", "heard", "expected"),
    [
        ([ME], [], Standing.ALONE),
        ([ME, PEER], [], Standing.MAJORITY),
        ([ME, PEER, OTHER], [], Standing.MINORITY),
        ([ME, PEER, OTHER], [PEER], Standing.MAJORITY),
        ([ME, PEER, OTHER, STRANGER], [PEER], Standing.MAJORITY),
        ([PEER, OTHER, STRANGER, "z" * 32], ["z" * 32], Standing.MAJORITY),
        ([ME, PEER, OTHER, STRANGER], ["z" * 32], Standing.MINORITY),
    ],
)
def test_standing(of: list[str], heard: list[str], expected: Standing) -> None:
    assert standing(of, heard, of[0]) is expected


def test_half_a_cluster_judges_only_with_the_lowest_uid() -> None:
    assert standing([ME, PEER, OTHER, STRANGER], [STRANGER], OTHER) is Standing.MINORITY


@given(st.integers(3, 7), st.data())
def test_no_two_parts_of_a_cluster_both_judge(size: int, data: st.DataObject) -> None:
    uids = [str(n) * 32 for n in range(size)]
    part = data.draw(st.sets(st.sampled_from(uids), min_size=1, max_size=size - 1))
    rest = set(uids) - part
    judging = [side for side in (part, rest) if standing(uids, side - {min(side)}, min(side)) is Standing.MAJORITY]
    assert len(judging) == 1


def test_all_members_of_one_part_have_the_same_standing() -> None:
    uids = [ME, PEER, OTHER, STRANGER]
    for part in (set(pair) for pair in combinations(uids, 2)):
        assert len({standing(uids, part - {uid}, uid) for uid in part}) == 1


def test_without_heartbeats_this_head_is_up_and_nothing_is_known_of_the_others() -> None:
    outlook = unwatched(STARTED)(members({PEER: head(), OTHER: head()}), STARTED + timedelta(hours=1))
    assert outlook.standing is Standing.MINORITY
    assert outlook.verdict == "local"
    assert outlook.conditions[ME].state is State.UP
    assert outlook.conditions[ME].last_seen == "2030-05-01T13:00:00.000Z"
    assert outlook.conditions[ME].since == "2030-05-01T12:00:00.000Z"
    for uid in (PEER, OTHER):
        condition = outlook.conditions[uid]
        assert (condition.state, condition.last_seen, condition.since) == (State.UNKNOWN, None, None)


def test_a_head_by_itself_stands_alone() -> None:
    assert unwatched(STARTED)(members(), STARTED).standing is Standing.ALONE

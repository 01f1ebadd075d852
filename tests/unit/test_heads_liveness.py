"""Who may judge."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.heads.liveness import Standing, standing
from tests.support.people import ME, OTHER, PEER, STRANGER


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

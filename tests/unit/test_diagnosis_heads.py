"""Which heads are not up, not heard, or of another version."""

from __future__ import annotations

from typing import Any

import pytest

from agent.diagnosis.finding import Level
from agent.diagnosis.heads import HeadSeen, hearing, states, versions

ME, A, B = "me", "a", "b"
TIMEOUT = 5.0


def head(uid: str, state: str = "up", heard_by: dict[str, float] | None = None, **more: Any) -> HeadSeen:
    everybody = {other: 0.5 for other in (ME, A, B) if other != uid}
    return HeadSeen(uid, uid, state, everybody if heard_by is None else heard_by, **{"version": "0.2.0", **more})


ALL = [head(ME), head(A), head(B)]


def test_all_up_is_well() -> None:
    (finding,) = states(ME, ALL, "majority")
    assert (finding.level, finding.detail) == (Level.OK, "3 of 3 up")


@pytest.mark.parametrize(
    ("state", "level"), [("down", Level.FAILED), ("suspect", Level.WARNING), ("unknown", Level.WARNING)]
)
def test_a_head_that_is_not_up_is_named_with_what_to_do(state: str, level: Level) -> None:
    (finding,) = states(ME, [head(ME), head(A), head(B, state)], "majority")
    assert (finding.subject, finding.level) == (B, level)
    assert "systemctl status clusterware-head-agent" in str(finding.todo)


def test_a_head_that_hears_too_few_says_that_it_may_be_the_one_that_is_cut_off() -> None:
    mine, *others = states(ME, [head(ME), head(A, "unknown"), head(B, "unknown")], "minority")
    assert (mine.subject, mine.level) == ("this head", Level.FAILED)
    assert [finding.level for finding in others] == [Level.WARNING, Level.WARNING]


def test_a_head_registered_by_hand_is_no_failure() -> None:
    (finding,) = states(ME, [head(ME), head(A, "down", agent=False)], "majority")
    assert finding.level is Level.WARNING
    assert "by hand" in finding.detail


@pytest.mark.parametrize("age", [TIMEOUT, 100.0, None])
def test_a_link_that_is_down_one_way_is_named_by_both_ends(age: float | None) -> None:
    heard = {ME: 0.5, **({} if age is None else {B: age})}
    (finding,) = hearing(ME, [head(ME), head(A, heard_by=heard), head(B)], TIMEOUT, 1)
    assert (finding.subject, finding.level) == (A, Level.WARNING)
    assert f"not heard by {B}" in finding.detail


def test_this_head_at_either_end_is_called_so() -> None:
    deaf, mute = head(A, heard_by={B: 0.5}), head(ME, heard_by={B: 0.5})
    found = {f.subject: f.detail for f in hearing(ME, [mute, deaf, head(B)], TIMEOUT, 1)}
    assert "not heard by this head" in found[A]
    assert f"not heard by {A}" in found["this head"]


def test_heads_that_are_not_up_are_missed_by_nobody_twice() -> None:
    (finding,) = hearing(ME, [head(ME, heard_by={B: 0.1}), head(A, "down", heard_by={}), head(B)], TIMEOUT, 1)
    assert finding.level is Level.OK


@pytest.mark.parametrize(
    ("up_for", "level"), [(0.0, Level.OK), (2.4, Level.OK), (2.5, Level.WARNING), (-1, Level.WARNING)]
)
@pytest.mark.parametrize("new", [ME, A, B])
def test_heads_that_have_just_come_up_are_given_time_to_find_each_other(new: str, up_for: float, level: Level) -> None:
    """A clock that was set back makes nobody new."""
    seen = [
        head(
            uid,
            heard_by={x: 0.1 for x in (ME, A, B) if x != uid and new not in (x, uid)},
            up_for=up_for if uid == new else 60.0,
        )
        for uid in (ME, A, B)
    ]
    assert hearing(ME, seen, TIMEOUT, 1)[0].level is level


def test_whom_a_head_of_a_newer_protocol_hears_is_not_known_and_not_told() -> None:
    seen = [head(ME, heard_by={A: 0.1}), head(A, heard_by={ME: 0.1}), head(B, protocol=2)]
    assert hearing(ME, seen, TIMEOUT, 1)[0].level is Level.OK
    assert hearing(ME, seen, TIMEOUT, 2)[0].level is Level.WARNING


def test_a_head_that_beats_and_does_not_answer_is_told() -> None:
    (finding,) = hearing(ME, [head(ME), head(A, refusal="it refused"), head(B)], TIMEOUT, 1)
    assert (finding.subject, finding.level) == (A, Level.WARNING)
    assert "it refused" in finding.detail


@pytest.mark.parametrize(
    ("version", "protocol", "level"),
    [
        ("0.2.0", 1, Level.OK),
        ("0.2.0", None, Level.OK),
        (None, None, Level.OK),
        ("0.2.1", 1, Level.WARNING),
        ("0.1.0", 1, Level.WARNING),
        ("0.3.0", 1, Level.WARNING),
        ("0.4.0", 1, Level.FAILED),
        ("1.2.0", 1, Level.FAILED),
        ("unreadable", 1, Level.FAILED),
        ("0.3.0", 2, Level.WARNING),
    ],
)
def test_versions_that_differ_are_told_and_those_that_are_no_neighbours_are_failures(
    version: str | None, protocol: int | None, level: Level
) -> None:
    (finding,) = versions(ME, [head(ME), head(A, version=version, protocol=protocol)], 1)
    assert finding.level is level

"""The rule that says up, suspect, down or unknown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.heads.liveness import State
from agent.heads.verdict import BEATS_TO_BE_UP, Evidence, Health, Patience, is_silent, verdict

PATIENCE = Patience(interval=1.0, suspect=3.0, timeout=5.0)
NOW = 1000.0
UP, SUSPECT, DOWN, UNKNOWN = State.UP, State.SUSPECT, State.DOWN, State.UNKNOWN
WELL = Health()

moments = st.floats(NOW - 100, NOW)
evidence = st.builds(
    Evidence,
    state=st.sampled_from(State),
    heard=st.none() | moments,
    row=st.integers(0, 40),
    stopped=st.booleans(),
    flapping=st.booleans(),
    watched=moments,
)
health = st.builds(Health, entitled=st.booleans(), attentive=moments, excused=moments, many=st.booleans())


def after(silence: float, state: State = UP, own: Health = WELL, **fields: bool) -> State:
    return verdict(Evidence(state, NOW - silence, watched=0.0, **fields), NOW, own, PATIENCE)


@pytest.mark.parametrize(
    ("silence", "expected"), [(0, UP), (2.9, UP), (3.0, SUSPECT), (4.9, SUSPECT), (5.0, DOWN), (900, DOWN)]
)
def test_silence_makes_suspect_and_then_down(silence: float, expected: State) -> None:
    assert after(silence) is expected


@pytest.mark.parametrize("cause", ["many", "flapping"])
def test_where_the_fault_may_be_elsewhere_it_takes_one_more_timeout_and_no_longer(cause: str) -> None:
    own, fields = (Health(many=True), {}) if cause == "many" else (WELL, {"flapping": True})
    assert after(9.9, SUSPECT, own, **fields) is SUSPECT
    assert after(10.0, SUSPECT, own, **fields) is DOWN


def test_a_stop_in_order_is_down_at_once() -> None:
    assert after(0.0, stopped=True) is DOWN


def test_what_a_head_did_since_it_stopped_is_unknown_to_one_that_did_not_listen() -> None:
    own = Health(attentive=NOW - 2)
    assert after(60, UNKNOWN, own, stopped=True) is UNKNOWN
    assert after(60, UNKNOWN, Health(attentive=NOW - 5), stopped=True) is DOWN


@pytest.mark.parametrize(("watched", "expected"), [(0.0, UNKNOWN), (4.9, UNKNOWN), (5.0, DOWN)])
def test_one_that_was_never_heard_is_unknown_for_a_timeout(watched: float, expected: State) -> None:
    assert verdict(Evidence(UNKNOWN, None, watched=NOW - watched), NOW, WELL, PATIENCE) is expected


@pytest.mark.parametrize(("row", "expected"), [(0, DOWN), (1, SUSPECT), (2, SUSPECT), (3, UP)])
def test_a_head_that_was_down_comes_back_with_three_beats_in_a_row(row: int, expected: State) -> None:
    state = DOWN if row < 2 else SUSPECT
    assert verdict(Evidence(state, NOW, row, watched=0.0), NOW, WELL, PATIENCE) is expected


def test_one_beat_is_enough_for_a_head_that_nobody_blamed() -> None:
    assert verdict(Evidence(UNKNOWN, NOW, 1), NOW, WELL, PATIENCE) is UP


@pytest.mark.parametrize(("row", "expected"), [(3, SUSPECT), (29, SUSPECT), (30, UP)])
def test_a_flapping_head_stays_suspect_until_it_has_beaten_for_long(row: int, expected: State) -> None:
    assert verdict(Evidence(SUSPECT, NOW, row, flapping=True), NOW, WELL, PATIENCE) is expected


def test_a_gap_of_this_head_is_taken_off_the_ages() -> None:
    own = Health(attentive=NOW - 1, excused=NOW - 1)
    assert after(4.0, own=own) is UP
    assert after(60.0, SUSPECT, own) is SUSPECT


def test_the_gap_does_not_excuse_a_head_that_was_silent_before() -> None:
    own = Health(attentive=NOW - 1, excused=NOW - 1)
    for state in (DOWN, SUSPECT, UNKNOWN):
        assert is_silent(Evidence(state, NOW - 60), NOW, own, PATIENCE)


@given(evidence, health)
def test_in_the_minority_nobody_is_called_down(of: Evidence, own: Health) -> None:
    assert verdict(of, NOW, own._replace(entitled=False), PATIENCE) is not DOWN


@given(evidence, health)
def test_nobody_is_convicted_within_one_timeout_of_this_heads_own_attention(of: Evidence, own: Health) -> None:
    own = own._replace(attentive=NOW - 4.9)
    if of.state is not DOWN and not of.stopped:
        assert verdict(of, NOW, own, PATIENCE) is not DOWN


@given(evidence, health, st.floats(0, 50))
def test_to_have_been_heard_later_never_makes_it_worse(of: Evidence, own: Health, later: float) -> None:
    worse = [UP, SUSPECT, UNKNOWN, DOWN].index
    if of.heard is None:
        return
    fresher = of._replace(heard=min(NOW, of.heard + later))
    before, now = verdict(of, NOW, own, PATIENCE), verdict(fresher, NOW, own, PATIENCE)
    if UNKNOWN not in (before, now):
        assert worse(now) <= worse(before)


@given(evidence, health)
def test_only_a_head_that_is_not_heard_or_said_so_becomes_down(of: Evidence, own: Health) -> None:
    if of.state is not DOWN and verdict(of, NOW, own, PATIENCE) is DOWN:
        assert of.stopped or is_silent(of, NOW, own, PATIENCE)


@given(evidence, health)
def test_only_fresh_beats_make_a_head_up(of: Evidence, own: Health) -> None:
    if of.state is not UP and verdict(of, NOW, own, PATIENCE) is UP:
        assert not is_silent(of, NOW, own, PATIENCE)
        assert of.row >= (1 if of.state is UNKNOWN else BEATS_TO_BE_UP)


@given(evidence, health)
def test_a_verdict_settles_at_once(of: Evidence, own: Health) -> None:
    """Judging again with the same evidence changes nothing, but that a row of beats already counted is credited."""
    first = verdict(of, NOW, own, PATIENCE)
    second = verdict(of._replace(state=first), NOW, own, PATIENCE)
    assert second is first or (of.row and (first, second) in {(SUSPECT, UP)})

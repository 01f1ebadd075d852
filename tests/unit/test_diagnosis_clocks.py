"""Whose clock is off: the middle of all counts as right."""

from __future__ import annotations

import pytest

from agent.diagnosis.clocks import HARMFUL, NOTICED, ahead_by, clocks
from agent.diagnosis.finding import Level

ME, A, B, C = "me", "a", "b", "c"


def told(ahead: dict[str, float]) -> list[tuple[str, Level]]:
    return [(finding.subject, finding.level) for finding in clocks(ME, ahead)]


@pytest.mark.parametrize(
    ("ahead", "found"),
    [
        ({}, [("this head", Level.OK)]),
        ({A: 0.0}, [("all heads", Level.OK)]),
        ({A: NOTICED - 0.1}, [("all heads", Level.OK)]),
        ({A: NOTICED}, [(A, Level.WARNING)]),
        ({A: -HARMFUL}, [(A, Level.FAILED)]),
        ({A: 0.3, B: -0.4}, [("all heads", Level.OK)]),
        ({A: 0.0, B: 86400.0}, [(B, Level.FAILED)]),
        ({A: 86400.0, B: 86400.2}, [("this head", Level.FAILED)]),
        ({A: -20.0, B: -20.0, C: -20.5}, [("this head", Level.WARNING)]),
        ({A: 0.0, B: 10.0, C: -10.0}, [(B, Level.WARNING), (C, Level.WARNING)]),
    ],
)
def test_the_clock_that_is_off_is_named(ahead: dict[str, float], found: list[tuple[str, Level]]) -> None:
    assert told(ahead) == found


def test_of_two_it_is_said_that_either_may_be_wrong() -> None:
    (finding,) = clocks(ME, {A: 3600.0})
    assert "1 hour ahead of" in finding.detail
    assert "it cannot be told which" in finding.detail
    assert "there or here" in str(finding.todo)


def test_of_three_the_direction_is_the_one_that_has_to_be_mended() -> None:
    (mine,) = clocks(ME, {A: 100.0, B: 100.0})
    (theirs,) = clocks(ME, {A: 0.0, B: 100.0})
    assert "2 minutes behind the other" in mine.detail
    assert "here" in str(mine.todo)
    assert "2 minutes ahead of the other" in theirs.detail


@pytest.mark.parametrize(("date", "ahead"), [(1000.0, 0.0), (1060.0, 60.0), (940.0, -60.0)])
def test_a_date_of_whole_seconds_tells_how_far_a_clock_is_ahead(date: float, ahead: float) -> None:
    assert ahead_by(date, 1000.4, 1000.6) == pytest.approx(ahead)


@pytest.mark.parametrize("by", [86399.2, 86400.8])
def test_a_day_is_told_as_one_whatever_a_whole_second_hides(by: float) -> None:
    (finding,) = clocks("me", {"a": by})
    assert "1 day ahead" in finding.detail

"""Lines of one kind are held back beyond their quota, counted, and told of once their time is over."""

from __future__ import annotations

from agent.log.throttle import Quota, Throttle
from agent.log.writer import Line

TWO = Quota(2, 60.0)


def admitted(throttle: Throttle[str], kind: str, lines: int, now: float) -> int:
    return sum(throttle.admits(kind, TWO, f"{kind} {number}", now) for number in range(lines))


def test_a_kind_has_its_quota_and_no_more() -> None:
    assert admitted(Throttle(), "a", 5, 0.0) == 2


def test_one_kind_takes_nothing_from_another() -> None:
    throttle: Throttle[str] = Throttle()
    assert [admitted(throttle, kind, 5, 0.0) for kind in ("a", "b")] == [2, 2]


def test_when_its_time_is_over_a_kind_has_its_quota_again() -> None:
    throttle: Throttle[str] = Throttle()
    assert [admitted(throttle, "a", 5, now) for now in (0.0, 59.9, 60.0)] == [2, 0, 2]


def test_what_was_held_back_is_told_once_with_the_last_line_and_the_count() -> None:
    throttle: Throttle[str] = Throttle()
    admitted(throttle, "a", 5, 0.0)
    assert throttle.due(59.9) == []
    assert throttle.due(60.0) == [("a 4", 3)]
    assert throttle.due(60.0) == []


def test_what_was_held_back_is_told_though_more_lines_of_it_have_come_since() -> None:
    throttle: Throttle[str] = Throttle()
    admitted(throttle, "a", 5, 0.0)
    admitted(throttle, "a", 1, 60.0)
    assert throttle.due(60.0) == [("a 4", 3)]


def test_a_kind_that_kept_within_its_quota_is_not_told_of() -> None:
    throttle: Throttle[str] = Throttle()
    admitted(throttle, "a", 2, 0.0)
    assert throttle.wait(0.0) is None
    assert throttle.due(60.0) == []


def test_it_says_how_long_nobody_has_to_look() -> None:
    throttle: Throttle[str] = Throttle()
    admitted(throttle, "b", 3, 0.0)
    admitted(throttle, "a", 3, 10.0)
    assert [throttle.wait(now) for now in (20.0, 61.0)] == [40.0, 0.0]


def test_a_stranger_with_many_addresses_fills_no_memory_and_is_told_of() -> None:
    throttle: Throttle[str] = Throttle(kinds=10)
    for number in range(1000):
        admitted(throttle, str(number), 3, 0.0)
    assert len(throttle) == 10
    assert throttle.wait(0.0) == 0.0
    told = throttle.due(0.0)
    assert sum(count for _, count in told) == 990


def test_lines_are_of_one_kind_when_they_are_of_one_event_about_one_thing() -> None:
    def kind(event: str, **facts: object) -> object:
        return Line.of(event, "info", facts, [], TWO).kind

    assert kind("Unit failed", unit="a", took=1) == kind("Unit failed", unit="a", took=2)
    assert kind("Unit failed", unit="a") != kind("Unit failed", unit="b")
    assert kind("Unit failed", unit="a") != kind("Unit started again", unit="a")

"""An agent that ends again and again is started less and less often."""

from __future__ import annotations

from agent.starts import FREE, LONGEST, WINDOW, pause


def test_some_restarts_wait_for_nothing() -> None:
    for earlier in range(FREE):
        assert pause([0.0] * earlier, now=1.0) == 0


def test_each_further_one_waits_twice_as_long_up_to_a_limit() -> None:
    pauses = [pause([0.0] * (FREE + more), now=1.0) for more in range(7)]
    assert pauses == [2, 4, 8, 16, LONGEST, LONGEST, LONGEST]


def test_what_was_long_ago_or_before_the_last_boot_does_not_count() -> None:
    assert pause([0.0] * 20, now=WINDOW) == 0
    assert pause([5000.0] * 20, now=100.0) == 0

"""Durations are counted in the first bound that they fit."""

from __future__ import annotations

import pytest

from agent.histogram import Histogram


def test_each_duration_is_counted_once_in_the_first_bound_that_it_fits() -> None:
    histogram = Histogram((0.1, 1.0))
    for seconds in (0.0, 0.1, 0.11, 1.0, 1.01, 99.0):
        histogram.note(seconds)
    assert histogram.counts == [2, 2, 2]
    assert histogram.total == pytest.approx(101.22)

"""An agent that is killed (SIGKILL) in a change of engine: its next start ends or undoes that, asking again ends it.

Here at a few of the steps; `make soak` has every one.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.killed_engines import attempts, wrong


@pytest.mark.parametrize(("what", "first", "every"), [("migrate", 30, 30), ("join", 37, 20), ("leave", 40, 60)])
@pytest.mark.timeout(120)
def test_a_change_of_engine_that_is_killed_loses_nothing_and_is_ended_by_asking_again(
    tmp_path: Path, what: str, first: int, every: int
) -> None:
    runs = attempts(what, tmp_path / what, first, every)
    assert [run["killed"] for run in runs] == [*[True] * (len(runs) - 1), False]
    assert len(runs) > 1
    assert {run["step"]: wrong(what, run) for run in runs} == {run["step"]: [] for run in runs}

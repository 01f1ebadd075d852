"""An agent that is killed (SIGKILL) in a change of engine: its next start ends or undoes that, asking again ends it.

Here at the steps around the moment at which the choice of engine is replaced; `make soak` has every one.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.killed_engines import attempts, wrong


@pytest.mark.parametrize(("what", "step"), [("migrate", 60), ("join", 37), ("leave", 45)])
@pytest.mark.timeout(120)
def test_a_change_of_engine_that_is_killed_loses_nothing_and_is_ended_by_asking_again(
    tmp_path: Path, what: str, step: int
) -> None:
    (run,) = attempts(what, tmp_path / what, step, 0)

    assert run["killed"]
    assert wrong(what, run) == []

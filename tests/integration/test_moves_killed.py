"""A join or a leave that is killed (SIGKILL) at any of its steps is one thing or the other after the next start."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

MEMBER = {
    "member": True,
    "same_ca": True,
    "certificate_fits": True,
    "record_fits": True,
    "heads": ["1", "2"],
    "known_there": True,
    "tombstone_there": False,
    "images": 1,
    "left_over": [],
}
ALONE = {**MEMBER, "member": False, "same_ca": False, "heads": ["2"], "known_there": False}


def runs(what: str, directory: Path) -> list[dict[str, Any]]:
    """What became of each: the last one was not killed."""
    command = [sys.executable, "-m", "tests.support.killed_moves", what, str(directory)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stderr
    *killed, whole = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(killed) > 50
    assert all(run["killed"] for run in killed)
    assert not whole["killed"]
    return [*killed, whole]


def test_a_join_killed_at_any_step_is_undone_or_completed_by_the_next_start(tmp_path: Path) -> None:
    results = runs("join", tmp_path / "join")
    for step, run in enumerate(results, 1):
        # The cluster may have let it in already: then asking again is what completes it.
        undone = {**ALONE, "known_there": run["found"]["known_there"]}
        assert run["found"] in (undone, MEMBER), f"step {step}"
        assert run["then"] in (None, MEMBER), f"step {step}"
    assert results[-1]["found"] == results[-1]["then"] == MEMBER


def test_a_leave_killed_at_any_step_is_as_if_never_asked_for_or_ended_by_the_next_start(tmp_path: Path) -> None:
    left = {**ALONE, "tombstone_there": True}
    results = runs("leave", tmp_path / "leave")
    for step, run in enumerate(results, 1):
        assert run["found"] in (MEMBER, left), f"step {step}"
        assert run["then"] in (None, left), f"step {step}"
    assert results[-1]["found"] == left

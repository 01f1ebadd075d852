"""A clean on the embedded store that is killed (SIGKILL) at any of its steps is finished by the next one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_clean_killed_at_any_step_is_finished_by_the_next(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.support.killed_cleans", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    runs = [json.loads(line) for line in done.stdout.splitlines()]
    *killed, whole = runs
    assert len(killed) > 20
    assert all(run["killed"] for run in killed)
    assert not whole["killed"]
    assert whole["bytes"] < 1_000_000
    for step, run in enumerate(killed, 1):
        assert set(run["meanwhile"]) == {"ok"}, f"step {step} left a backup that is not one"
        assert run["tombstones"] == ["2"], f"step {step}"
        assert run["images"] == [{"content": {"filename": "rocky.img"}}], f"step {step}"
        assert run["files"] == ["rocky.img"], f"step {step}"
        assert run["backups"] == ["ok"] * 5, f"step {step}"
        assert (run["problem"], run["left"], run["findings"]) == (None, [], 0), f"step {step}"
        assert abs(run["bytes"] - whole["bytes"]) < 100_000, f"step {step}"

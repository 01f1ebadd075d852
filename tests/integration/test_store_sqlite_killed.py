"""A process killed in the middle of its commits has lost none that it answered."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from agent.adapters.sqlite.store import SqliteStore
from agent.model import Kind
from tests.support import killed_commits

ROOT = Path(__file__).parents[2]


def commits_until_killed(path: Path, lines: int) -> set[int]:
    """Kill -9 the writer once it has answered that many commits; all the commits that it answered."""
    command = [sys.executable, "-m", "tests.support.killed_commits", str(path)]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout is not None
        answered = []
        for line in process.stdout:
            if line.strip().isdigit():
                answered.append(int(line))
            if len(answered) == lines:
                process.kill()
        assert len(answered) >= lines
    return set(answered)


async def test_no_answered_commit_is_lost_and_none_is_half_there(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    answered: set[int] = set()
    for lines in (1, 40, 7, 120):
        answered |= commits_until_killed(path, lines)
        async with SqliteStore.open(path) as store:
            assert store.problem is None
            assert await store.check() == []
            images = {int(r.uid): r.body for r in await store.records(Kind.IMAGE)}
            repos = {int(r.uid): r.body for r in await store.records(Kind.REPO)}
            references = await store.references("", 100_000)
        assert answered <= set(images)
        assert images == repos
        assert images == {number: killed_commits.pair(number)[0].body for number in images}
        assert set(references) == {f"{side}/{number}" for number in images for side in "ab"}

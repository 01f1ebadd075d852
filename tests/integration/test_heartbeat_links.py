"""Heads that beat to each other over real TLS."""

from __future__ import annotations

from pathlib import Path

from tests.support.waiting import wait_for
from tests.support.wired import wired


async def test_heads_that_know_each_other_are_up_for_each_other(tmp_path: Path) -> None:
    async with wired(tmp_path, 3) as heads:
        for one in heads:
            for other in heads:
                await wait_for(lambda one=one, other=other: one.state_of(other) == "up")

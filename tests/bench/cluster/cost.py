"""What being one of many costs a head: the agent's CPU and memory, one alone and one of fifteen, at rest."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.bench.cluster.cases import Row
from tests.support.heads import Head, Heads
from tests.support.heads.cluster import Cluster

MANY = 15
WINDOW = 20.0
"""Seconds over which CPU is measured."""


def cpu(head: Head) -> float:
    """CPU seconds that the agent's threads have used so far, to the nanosecond (proc(5)): ticks tell what they meet."""
    (pid,) = head.processes()
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def resident(head: Head) -> float:
    """The agent's resident memory in MiB."""
    (pid,) = head.processes()
    return int(Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0]) / 1024


def at_rest(heads: Sequence[Head]) -> tuple[list[float], list[float]]:
    """Share of one CPU, and MiB, of each head's agent."""
    before = [cpu(head) for head in heads]
    since = time.monotonic()
    time.sleep(WINDOW)
    took = time.monotonic() - since
    return [(cpu(head) - was) / took for head, was in zip(heads, before, strict=True)], [resident(h) for h in heads]


def cost(heads: Heads, engine: str) -> Iterator[Row]:
    """One head alone, then fifteen that know each other; all on this machine."""
    machines = heads.boot_all(*(f"c{number:02}" for number in range(1, MANY + 1)))
    try:
        cluster = Cluster(heads, engine)
        cluster.start(machines[:1])
        time.sleep(5)
        (alone,), (small,) = at_rest(machines[:1])
        cluster.add(machines[1:])
        cluster.settled(seconds=120)
        time.sleep(10)
        shares, sizes = at_rest(machines)
    finally:
        heads.shut_down_all(machines)
    yield Row(
        f"{MANY} heads at rest: CPU of each agent",
        f"median {statistics.median(shares):.2%}, max {max(shares):.2%} (alone {alone:.2%})",
        "<= 1 %",
    )
    yield Row(
        f"{MANY} heads at rest: RSS of each agent",
        f"median {statistics.median(sizes):.1f} MiB, max {max(sizes):.1f} MiB (alone {small:.1f} MiB)",
        "alone + 1 MB",
    )

"""What can be done to live heads: chosen from a seed, done for a while, undone."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.support.heads import Head
from tests.support.heads.cluster import ETCD, Cluster
from tests.support.heads.head import UNIT


@dataclass(frozen=True, slots=True)
class Fault:
    """Something to do to one head, its `victim`, for some seconds."""

    name: str
    victim: Head
    seconds: float
    deadly: bool
    """Whether the others may find the victim down. Nobody may ever find down any other head."""
    begin: Callable[[], object]

    @property
    def told(self) -> str:
        """It as a line of the log."""
        return f"{self.name} of {self.victim.name} for {self.seconds:.1f} s"


_Kind = tuple[str, float, Callable[[], object]]
"""Name, seconds, beginning."""


def choose(rng: random.Random, cluster: Cluster) -> Fault:
    """One fault, with its victim and how long it lasts; `Cluster.mend` ends any of them."""
    victim = rng.choice(cluster.heads)
    rest = cluster.others(victim)
    network = cluster.run.network
    every = [head.name for head in cluster.heads]
    share = rng.choice((0.02, 0.05, 0.1))
    long, brief = rng.uniform(2, 15), rng.uniform(0.5, 3)
    others = [head.name for head in rest]
    deadly: list[_Kind] = [
        ("power-off", long, lambda: cluster.run.power_off(victim)),
        ("crash", brief, lambda: _crash(cluster, victim)),
        ("freeze", long, victim.freeze),
        ("stop of the agent in its tracks", long, lambda: victim.signal(signal.SIGSTOP)),
        ("kill -9 of the agent", brief, lambda: victim.signal(signal.SIGKILL)),
        ("kill -9 of the agent for good", long, victim.kill_for_good),
        ("clean stop", long, victim.stop_agent),
        ("restart of the agent", brief, lambda: victim.systemctl("restart", UNIT)),
        ("cut cable", long, lambda: network.cut(victim.name)),
        ("partition", long, lambda: network.partition([victim.name], others)),
    ]
    harmless: list[_Kind] = [
        ("one-way cut", long, lambda: network.cut_one_way(victim.name, rest[0].name)),
        (f"{share:.0%} loss", long, lambda: network.lose(share, every, every)),
        ("restart of the switch", brief, lambda: _switch(cluster, brief)),
    ]
    if cluster.engine == "etcd":
        harmless += [
            ("kill -9 of etcd", brief, lambda: victim.signal(signal.SIGKILL, ETCD)),
            ("stop of etcd in its tracks", long, lambda: victim.signal(signal.SIGSTOP, ETCD)),
        ]
    number = rng.randrange(len(deadly) + len(harmless))
    name, seconds, begin = [*deadly, *harmless][number]
    return Fault(name, victim, seconds, number < len(deadly), begin)


def _crash(cluster: Cluster, victim: Head) -> None:
    """Power off and on again at once."""
    cluster.run.power_off(victim)
    cluster.run.power_on(victim)


def _switch(cluster: Cluster, seconds: float) -> None:
    with cluster.run.network.switch_down():
        time.sleep(seconds)

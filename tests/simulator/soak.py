"""Long runs: one fault after the other, while packets are lost, and the figures that come out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tests.simulator.cluster import Cluster, Findings
from tests.simulator.faults import FAULTS
from tests.simulator.link import Network

SLICE = 12.0
"""Head-hours that one seed is good for; slices run side by side."""


class Order(NamedTuple):
    """What to simulate."""

    heads: int
    head_hours: float
    seed: int
    network: Network
    faults: tuple[str, ...] = tuple(FAULTS)


def simulate(order: Order) -> Findings:
    """Run one slice: quiet and faults in turn."""
    cluster = Cluster(order.heads, order.seed, order.network)
    cluster.run(30.0)
    while cluster.findings.head_hours < order.head_hours:
        if order.faults:
            FAULTS[cluster.world.random.choice(order.faults)](cluster)
        cluster.run(cluster.world.random.uniform(10, 300))
    cluster.settle_accounts()
    found = cluster.findings
    found.false_down = [f"{what} (seed {order.seed})" for what in found.false_down]
    found.missed = [f"{what} (seed {order.seed})" for what in found.missed]
    return found


def percentile(values: Iterable[float], percent: float) -> float:
    """The smallest value that is not below so many percent of them."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100).__trunc__() - 1)]


def report(results: Iterable[Findings]) -> Findings:
    """Print the figures of several slices taken together."""
    found = Findings()
    for result in results:
        found.add(result)
    print(f"{'seconds':22}{'n':>8}{'p50':>8}{'p99':>8}{'max':>8}")
    for what, seconds in sorted(found.took.items()):
        figures = "".join(f"{percentile(seconds, percent):8.2f}" for percent in (50, 99, 100))
        print(f"{what:22}{len(seconds):8}{figures}")
    for title, cases in (("false down", found.false_down), ("not noticed", found.missed)):
        print(f"{title}: {len(cases)}")
        for case in cases[:20]:
            print(f"  {case}")
    return found

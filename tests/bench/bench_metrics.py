"""GET /metrics of a head among fifteen, with sixty services and every route in use: what a scrape costs.

The baseline is prometheus-client writing as many series that it has been handed ready. Nothing here waits for a disk.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from agent.api.metrics.exposition import expose
from agent.api.routes import ROUTES
from tests.support.full_reading import HEADS, UNITS, figures, reading

ROUNDS = 200


def timed(work: Callable[[], object]) -> float:
    """Milliseconds that it takes, the median of many times."""
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        took.append(1e3 * (time.perf_counter() - began))
    return statistics.median(took)


def main() -> None:
    """Print the figures and their ratio."""
    told = reading()
    text, _ = expose(figures(told), "")
    series = sum(not line.startswith(b"#") for line in text.splitlines())
    registry = CollectorRegistry()
    gauge = Gauge("baseline", "Baseline.", ["one", "other"], registry=registry)
    for number in range(series):
        gauge.labels("clusterware", str(number)).set(1.0)
    plain, ours = timed(lambda: generate_latest(registry)), timed(lambda: expose(figures(told), ""))
    print(
        f"GET /metrics with {HEADS} heads, {UNITS} services, {len(ROUTES)} routes: {series} series, {len(text)} bytes"
    )
    print(f"  prometheus-client alone {plain:.1f} ms, agent {ours:.1f} ms, ratio {ours / plain:.2f}")
    print(f"  of that on the event loop {timed(lambda: figures(told)):.2f} ms (goal: a few), the rest in a thread")


if __name__ == "__main__":
    main()

"""What the detector costs: microseconds per beat and per tick, and its share of a core for a cluster at rest.

The baseline is the least that a head can do with a beat: to decode its frame.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from agent.heads.beat import Beat, decode, encode
from agent.heads.detector import TICKS, Detector
from agent.ports import Clock
from tests.simulator.cluster import Cluster
from tests.simulator.link import Network

ROUNDS, CALLS = 9, 2000


def best(work: Callable[[int], object]) -> float:
    """Microseconds of CPU per call: the median over rounds."""
    took = []
    for turn in range(ROUNDS):
        began = time.process_time()
        for call in range(CALLS):
            work(turn * CALLS + call)
        took.append((time.process_time() - began) / CALLS * 1e6)
    return statistics.median(took)


def measure(heads: int) -> None:
    """Print a line for a cluster of that size, and one for it with a head down."""
    for label, dead in (("all up", 0), ("one down", 1)):
        cluster = Cluster(heads, 1, Network())
        cluster.run(20)
        for uid in cluster.uids[heads - dead :]:
            cluster.machines[uid].switch_off()
        cluster.run(20)
        observer, peer = (cluster.machines[uid].detector for uid in cluster.uids[:2])
        assert observer is not None
        assert peer is not None
        report(
            f"{heads} heads, {label}",
            heads - 1 - dead,
            observer,
            peer.next_beat(),
            cluster.machines[cluster.uids[0]].clock,
        )


def report(label: str, beats: int, observer: Detector, last: Beat, clock: Clock) -> None:
    """Measure one detector as it is; its time stands still."""
    frame = encode(last)
    fresh = [Beat(last.head, last.boot, last.seq + n, last.heard) for n in range(1, ROUNDS * CALLS + 1)]
    decoding = best(lambda _call: decode(frame))
    hearing = best(lambda call: observer.heard(fresh[call], clock.monotonic()))
    beating = best(lambda _call: encode(observer.next_beat()))
    ticking = best(lambda _call: observer.tick())
    share = (beats * hearing + beating + TICKS * ticking) / 1e6
    print(
        f"{label:22}{decoding:9.2f}{hearing:9.2f}{hearing / decoding:8.2f}{beating:9.2f}{ticking:9.2f}{share:10.3%}",
        flush=True,
    )


def main() -> None:
    """Print the figures."""
    print(f"{'microseconds':22}{'decode':>9}{'heard':>9}{'ratio':>8}{'beat':>9}{'tick':>9}{'of a core':>10}")
    for heads in (3, 15):
        measure(heads)


if __name__ == "__main__":
    main()

"""Run the simulator: `python -m tests.simulator --heads 15 --days 10 --seed 1 --loss 0.1`."""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from tests.simulator.faults import FAULTS
from tests.simulator.link import Network
from tests.simulator.soak import SLICE, Order, report, simulate


def main() -> int:
    """Simulate as told, print what came out; the exit status is 1 when a living head was called down."""
    parser = argparse.ArgumentParser(prog="tests.simulator", description=__doc__)
    parser.add_argument("--heads", type=int, default=15, help="how many heads (15)")
    parser.add_argument("--days", type=float, default=1.0, help="how many head-days (1)")
    parser.add_argument("--seed", type=int, default=1, help="where chance begins (1)")
    parser.add_argument("--loss", type=float, default=0.1, help="the share of packets lost, each way (0.1)")
    parser.add_argument("--datagrams", action="store_true", help="what is lost is lost, as if it were not TCP")
    parser.add_argument("--faults", nargs="*", default=sorted(FAULTS), choices=sorted(FAULTS), help="which (all)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at a time")
    given = parser.parse_args()
    network = Network(given.loss, datagrams=given.datagrams)
    orders, left, seed = [], given.days * 24.0, given.seed
    while left > 0:
        orders.append(Order(given.heads, min(left, SLICE), seed, network, tuple(given.faults)))
        left, seed = left - SLICE, seed + 1
    began = time.monotonic()
    print(f"{given.heads} heads, {given.days:g} head-days, {given.loss:.0%} loss, seeds {given.seed} to {seed - 1}")
    # Nothing in it goes in circles, and looking for that would take a tenth of the time.
    with ProcessPoolExecutor(given.jobs, initializer=gc.disable) as pool:
        found = report(pool.map(simulate, orders))
    minutes = (time.monotonic() - began) / 60
    print(f"{found.head_hours:.0f} head-hours in {minutes:.1f} min: {found.head_hours / minutes:.0f} a minute")
    return 1 if found.false_down or found.missed else 0


if __name__ == "__main__":
    sys.exit(main())

"""How live heads take faults: three heads of either engine with the default heartbeat, then two, then fifteen.

A row a case: what was measured, and the goal. Times run from the moment of the fault. From the environment: ROUNDS,
how often what is cheap is repeated, and CASES, words of which the names of the cases to run contain one. The heads'
disks are in memory: on real ones every write to etcd costs an fsync more. Nothing else should run beside it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from tests.bench.cluster import cases
from tests.bench.cluster.cases import Case, Row
from tests.bench.cluster.cost import cost
from tests.support.heads import Heads
from tests.support.heads.cluster import Cluster

ROUNDS = int(os.environ.get("ROUNDS", "3"))
WANTED = os.environ.get("CASES", "").split()

ANY_ENGINE: tuple[Case, ...] = (
    cases.power_off,
    cases.killed_for_good,
    cases.clean_stop,
    cases.observer_stopped,
    cases.one_way_cut,
    cases.switch_restart,
    cases.clock_off,
    cases.loss,
    cases.minority,
    cases.removal,
)
ON_ETCD: tuple[Case, ...] = (cases.leader_killed, cases.member_stopped, cases.leader_stopped)
OF_TWO: tuple[Case, ...] = (cases.killed_for_good,)


def main() -> None:
    """Print a table for each engine."""
    for engine in os.environ.get("ENGINES", "sqlite etcd").split():
        with Heads() as heads:
            _run(heads, engine, 3, (*ANY_ENGINE, *(ON_ETCD if engine == "etcd" else ())))
            _run(heads, engine, 2, OF_TWO)
            if _wanted("cost"):
                _print(f"{engine}, 15 heads", cost(heads, engine))


def _run(heads: Heads, engine: str, count: int, chosen: Iterable[Case]) -> None:
    """Form a cluster and do each case that is wanted to it."""
    wanted = [case for case in chosen if _wanted(case.__name__)]
    if not wanted:
        return
    cluster = Cluster(heads, engine)
    machines = heads.boot_all(*(f"{engine[0]}{count}-{number}" for number in range(1, count + 1)))
    cluster.start(machines)
    cluster.settled()
    for case in wanted:
        _print(f"{engine}, {count} heads", case(cluster, ROUNDS))
        cluster.mend()
        cluster.settled()
    heads.shut_down_all(machines)


def _wanted(name: str) -> bool:
    return not WANTED or any(word in name for word in WANTED)


def _print(where: str, rows: Iterable[Row]) -> None:
    for row in rows:
        print(f"{where}: {row.case}: {row.figure} (goal: {row.goal})", flush=True)


if __name__ == "__main__":
    main()

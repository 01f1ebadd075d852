"""The faults: each befalls the cluster, is measured, and is over when its function returns."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta

from agent.heads.liveness import State
from tests.simulator.cluster import Cluster

LONG = 40.0
"""Seconds after which whatever was to be noticed has been, or never will."""

Fault = Callable[[Cluster], None]


def power_off(cluster: Cluster) -> None:
    """A head loses its power, and comes back."""
    uid = _victim(cluster)
    _find(cluster, "power-off", uid, cluster.machines[uid].switch_off)
    _restart(cluster, uid)


def killed(cluster: Cluster) -> None:
    """An agent is killed and kept from restarting for a while."""
    uid = _victim(cluster)
    _find(cluster, "agent killed", uid, cluster.machines[uid].kill)
    _restart(cluster, uid)


def many_at_once(cluster: Cluster) -> None:
    """A rack loses its power: as many heads as the rest can do without."""
    uids = cluster.world.random.sample(cluster.uids, max(1, (len(cluster.uids) - 1) // 2))
    rest = set(cluster.uids) - set(uids)
    for uid in uids:
        cluster.leave(uid)
        cluster.machines[uid].switch_off()
        cluster.wait_for("many at once", uid, State.DOWN, rest)
    cluster.run(LONG)
    cluster.settle_accounts()
    for uid in uids:
        cluster.come_back(uid)
        cluster.machines[uid].start()
    cluster.run(LONG)


def clean_stop(cluster: Cluster) -> None:
    """An agent stops in order, and starts again."""
    uid = _victim(cluster)
    _find(cluster, "clean stop", uid, cluster.machines[uid].stop)
    _restart(cluster, uid)


def quick_restart(cluster: Cluster) -> None:
    """An agent crashes, and systemd has it back before anybody minds."""
    uid = _victim(cluster)
    cluster.machines[uid].kill()
    cluster.run(cluster.world.random.uniform(0.1, 1.0))
    cluster.machines[uid].start()
    cluster.run(LONG)


def frozen(cluster: Cluster) -> None:
    """An agent hangs for long: rightly down for the others, and itself no judge of anybody afterwards."""
    uid = _victim(cluster)
    _find(cluster, "frozen", uid, cluster.machines[uid].freeze, cluster.world.random.uniform(20, 60))
    cluster.come_back(uid)
    cluster.machines[uid].thaw()
    cluster.wait_for("thawed and up", uid, State.UP, cluster.uids)
    cluster.run(LONG)


def stalled(cluster: Cluster) -> None:
    """An agent hangs for less than it takes to be suspect."""
    machine = cluster.machines[_victim(cluster)]
    machine.freeze()
    cluster.run(cluster.world.random.uniform(0.5, 2.0))
    machine.thaw()
    cluster.run(LONG)


def wrong_clock(cluster: Cluster) -> None:
    """Somebody sets a head's clock a day off, and right again."""
    clock = cluster.machines[_victim(cluster)].clock
    clock.off = timedelta(days=cluster.world.random.choice((-1, 1)))
    cluster.run(LONG)
    clock.off = timedelta()
    cluster.run(LONG)


def one_way(cluster: Cluster) -> None:
    """One head no longer reaches one other."""
    sender, receiver = cluster.world.random.sample(cluster.uids, 2)
    if len(cluster.uids) < 3:
        return  # nobody else could tell that the other lives
    there, back = cluster.links[sender, receiver], cluster.links[receiver, sender]
    for change in (1, -1):
        there.cut(change, back=False)
        back.cut(change, forth=False)  # what comes back is not acknowledged
        cluster.run(LONG)


def switch_restart(cluster: Cluster) -> None:
    """No packet gets anywhere for three seconds."""
    for link in cluster.links.values():
        link.cut(1)
    cluster.run(3.0)
    for link in cluster.links.values():
        link.cut(-1)
    cluster.run(LONG)


def partition(cluster: Cluster) -> None:
    """The smaller part of the cluster is cut off, and joined again."""
    uids = cluster.uids
    away = set(cluster.world.random.sample(uids, cluster.world.random.randint(1, max(1, (len(uids) - 1) // 2))))
    rest = set(uids) - away
    _part(cluster, away, rest, 1)
    for uid in uids if len(uids) == 2 else away:  # of two, each may judge the other
        cluster.leave(uid)
        cluster.wait_for("cut off", uid, State.DOWN, rest)
    if len(uids) > 2:
        cluster.wait_for_minority(away)
    cluster.run(LONG)
    cluster.settle_accounts()
    for uid in uids:
        cluster.come_back(uid)
    _part(cluster, away, rest, -1)
    cluster.run(LONG)


FAULTS: dict[str, Fault] = {
    fault.__name__: fault
    for fault in (
        power_off,
        killed,
        many_at_once,
        clean_stop,
        quick_restart,
        frozen,
        stalled,
        wrong_clock,
        one_way,
        switch_restart,
        partition,
    )
}


def _victim(cluster: Cluster) -> str:
    return cluster.world.random.choice(cluster.uids)


def _find(cluster: Cluster, what: str, uid: str, strike: Callable[[], None], seconds: float = LONG) -> None:
    """Have the others find out that a head is down."""
    cluster.run(cluster.world.random.uniform(0, 1))  # at no particular moment between two beats
    cluster.leave(uid)
    cluster.wait_for(what, uid, State.DOWN, cluster.uids)
    strike()
    cluster.run(seconds)
    cluster.settle_accounts()


def _restart(cluster: Cluster, uid: str) -> None:
    cluster.come_back(uid)
    cluster.machines[uid].start()
    cluster.wait_for("back up", uid, State.UP, cluster.uids)
    cluster.run(LONG)
    cluster.settle_accounts()


def _part(cluster: Cluster, away: Iterable[str], rest: Iterable[str], change: int) -> None:
    for one in away:
        for other in rest:
            cluster.links[one, other].cut(change)
            cluster.links[other, one].cut(change)

"""The cases of `bench_cluster`: each does one thing to live heads and says what came of it."""

from __future__ import annotations

import signal
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.support.heads.cluster import ETCD, Cluster
from tests.support.heads.head import Head, wait_for
from tests.support.heads.watching import STANDING, watching
from tests.support.heads.writing import missing, remove, writing
from tests.support.stolen import Stolen

PATIENCE = 60.0
"""Seconds after which a case is given up."""


class Row(NamedTuple):
    """One line of the table."""

    case: str
    figure: str
    goal: str


Case = Callable[[Cluster, int], Iterator[Row]]
"""Given a cluster that is well and how often to repeat what is cheap to repeat; leaves it well."""


def spread(values: Sequence[float]) -> str:
    """Median and greatest of some seconds."""
    return f"p50 {statistics.median(values):.2f} s, max {max(values):.2f} s of {len(values)}"


def power_off(cluster: Cluster, rounds: int) -> Iterator[Row]:
    """Power-off of a head in turn."""
    yield from _deaths(cluster, rounds, "power-off", cluster.run.power_off, cluster.run.power_on)


def killed_for_good(cluster: Cluster, rounds: int) -> Iterator[Row]:
    """An agent killed -9 and kept from restarting, each head in turn."""
    yield from _deaths(cluster, rounds, "agent killed -9 for good", Head.kill_for_good, Head.revive)


def _deaths(
    cluster: Cluster, rounds: int, what: str, kill: Callable[[Head], None], revive: Callable[[Head], None]
) -> Iterator[Row]:
    took: dict[str, list[float]] = {"": [], " (etcd's leader)": []}
    apart: list[float] = []
    unknown = 0
    for number in range(rounds):
        gone = cluster.heads[number % len(cluster.heads)]
        leads = cluster.engine == "etcd" and len(cluster.heads) > 2 and cluster.etcd_leader() is gone
        rest = cluster.others(gone)
        with watching(rest) as seen:
            since = time.monotonic()
            kill(gone)
            found = seen.took(rest, gone.uid, "down", since, PATIENCE)
            unknown += len(seen.said(["unknown"], since))
        took[" (etcd's leader)" if leads else ""] += found
        apart.append(found[-1] - found[0])
        revive(gone)
        cluster.settled(seconds=PATIENCE)
    for who, found in took.items():
        if found:
            goal = "<= 9 s" if who and what == "power-off" else "p50 <= 5.5 s, p99 <= 6.5 s"
            yield Row(f"{what}{who}: down on every other", spread(found), goal)
    yield Row(f"{what}: said `unknown` of anybody", str(unknown), "never")
    if cluster.engine == "etcd" and len(cluster.heads) > 2:
        yield Row(f"{what}: all heads' answers equal after", f"{max(apart):.2f} s at most", "<= 0.5 s")


def clean_stop(cluster: Cluster, rounds: int) -> Iterator[Row]:
    """A stop in order, and the start after it."""
    stops: list[float] = []
    starts: list[float] = []
    for number in range(rounds):
        gone = cluster.heads[number % len(cluster.heads)]
        rest = cluster.others(gone)
        with watching(rest) as seen:
            since = time.monotonic()
            gone.stop_agent()
            stops += seen.took(rest, gone.uid, "down", since, PATIENCE)
            gone.systemctl("start", "clusterware-head-agent.socket", "clusterware-head-agent.service")
            since = time.monotonic()
            starts += seen.took(rest, gone.uid, "up", since, PATIENCE)
        cluster.settled()
    yield Row("clean stop: down on every other", spread(stops), "<= 1 s")
    yield Row("back again (from READY): up on every other", spread(starts), "<= 4 s")


def observer_stopped(cluster: Cluster, rounds: int) -> Iterator[Row]:
    """An observer that is stopped in its tracks, longer than any timeout but its watchdog's."""
    seconds = 60.0 if rounds > 1 else 15.0
    stopped = cluster.heads[0]
    stopped.write("/run/systemd/system/clusterware-head-agent.service.d/90-bench.conf", "[Service]\nWatchdogSec=0\n")
    stopped.systemctl("daemon-reload")
    stopped.systemctl("restart", "clusterware-head-agent.service")
    cluster.settled()
    with watching([stopped]) as seen:
        since = time.monotonic()
        stopped.signal(signal.SIGSTOP)
        time.sleep(seconds)
        stopped.signal(signal.SIGCONT)
        cluster.settled()
        time.sleep(7)
        wrong = len(seen.said(["down"], since))
    yield Row(f"observer SIGSTOPped for {seconds:.0f} s: false down", str(wrong), "none")


def one_way_cut(cluster: Cluster, rounds: int) -> Iterator[Row]:
    """A link that loses everything in one direction."""
    one, other = cluster.heads[:2]

    def fault() -> None:
        cluster.run.network.cut_one_way(one.name, other.name)
        time.sleep(10.0 * min(rounds, 3))
        cluster.run.network.repair()

    yield from _harmless(cluster, "link cut one way", fault)


def switch_restart(cluster: Cluster, rounds: int) -> Iterator[Row]:
    """A switch that is away for three seconds."""

    def fault() -> None:
        for _ in range(min(rounds, 3)):
            with cluster.run.network.switch_down():
                time.sleep(3)
            time.sleep(7)

    yield from _harmless(cluster, "switch away for 3 s", fault)


def clock_off(cluster: Cluster, rounds: int) -> Iterator[Row]:
    """An agent whose wall clock is a day off, either way."""
    del rounds
    for offset in ("+1d", "-1d"):
        off = cluster.heads[1]
        off.set_clock(offset)
        cluster.settled()
        yield from _harmless(cluster, f"clock {offset}", lambda: time.sleep(8))
        off.set_clock("")
        cluster.settled()


def loss(cluster: Cluster, rounds: int) -> Iterator[Row]:
    """One packet in ten lost on every link."""
    names = [head.name for head in cluster.heads]

    def fault() -> None:
        cluster.run.network.lose(0.1, names, names)
        time.sleep(20.0 * min(rounds, 3))
        cluster.run.network.repair()

    yield from _harmless(cluster, "10 % of packets lost", fault)


def _harmless(cluster: Cluster, what: str, fault: Callable[[], None]) -> Iterator[Row]:
    with watching(cluster.heads) as seen:
        since = time.monotonic()
        fault()
        wrong = len(seen.said(["down"], since))
        cluster.settled()
        wrong = max(wrong, len(seen.said(["down"], since)))
    yield Row(f"{what}: false down", str(wrong), "none")


def minority(cluster: Cluster, rounds: int) -> Iterator[Row]:
    """One head of three cut off from the others."""
    told: list[float] = []
    refusals: list[int] = []
    for number in range(min(rounds, 3)):
        small = cluster.heads[number]
        rest = cluster.others(small)
        with watching(cluster.heads) as seen:
            since = time.monotonic()
            cluster.run.network.partition([small.name], [head.name for head in rest])
            told += seen.took([small], STANDING, "minority", since, PATIENCE)
            refusals.append(small.api("DELETE", "/heads/down").status)
            cluster.run.network.repair()
        cluster.settled()
    yield Row("partition: the smaller part says `minority`", spread(told), "<= 5 s")
    yield Row("partition: DELETE /heads/down there", " ".join(map(str, refusals)), "409 or 503")


def removal(cluster: Cluster, rounds: int) -> Iterator[Row]:
    """A live head removed, whose certificate and token a stranger tries on all others over open connections."""
    took = []
    thief = cluster.run.host("thief")
    for number in range(rounds):
        gone = cluster.heads[number % len(cluster.heads)]
        rest = cluster.others(gone)
        with tempfile.TemporaryDirectory() as directory:
            stolen = Stolen.of(gone, cluster, thief, Path(directory))
            if not stolen.opens_everything():
                raise RuntimeError("cannot measure a removal: what was stolen opened nothing before it")
            since = time.monotonic()
            rest[0].api("DELETE", f"/head/{gone.uid}")
            wait_for(stolen.opens_nothing, "the removed head to be shut out", PATIENCE)
            took.append(time.monotonic() - since)
            stolen.close()
        cluster.heads.remove(gone)
        cluster.settled()
        gone.run("cw-headctl", "join", "--force", *cluster.invitation(rest[0]))
        cluster.heads.append(gone)
        cluster.settled()
    yield Row("removal: token, certificate, open connections dead everywhere", spread(took), "<= 1 s")


def leader_killed(cluster: Cluster, rounds: int) -> Iterator[Row]:
    """etcd's leader killed -9 while all heads write."""
    yield from _gaps(cluster, rounds, "etcd's leader killed -9", "<= 3 s", _killed)


def member_stopped(cluster: Cluster, rounds: int) -> Iterator[Row]:
    """A member of etcd stopped in its tracks while all heads write."""
    yield from _gaps(cluster, rounds, "member SIGSTOPped", "<= 1.5 s", _stopped, leader=False)


def leader_stopped(cluster: Cluster, rounds: int) -> Iterator[Row]:
    """etcd's leader stopped in its tracks while all heads write."""
    yield from _gaps(cluster, rounds, "etcd's leader SIGSTOPped", "none stated", _stopped)


@contextmanager
def _killed(head: Head) -> Iterator[None]:
    head.signal(signal.SIGKILL, ETCD)
    yield  # systemd starts it again


@contextmanager
def _stopped(head: Head) -> Iterator[None]:
    head.signal(signal.SIGSTOP, ETCD)
    yield
    head.signal(signal.SIGCONT, ETCD)


def _gaps(
    cluster: Cluster,
    rounds: int,
    what: str,
    goal: str,
    fault: Callable[[Head], AbstractContextManager[None]],
    *,
    leader: bool = True,
) -> Iterator[Row]:
    gaps: list[float] = []
    lost = 0
    for number in range(rounds):
        chosen = cluster.etcd_leader()
        if not leader:
            chosen = cluster.others(chosen)[number % 2]
        with writing(cluster.heads) as done:
            time.sleep(1)
            since = time.monotonic()
            with fault(chosen):
                time.sleep(6)
            time.sleep(3)
            until = time.monotonic()
        gaps += [one.longest_gap(since, until) for one in done]
        cluster.settled()
        lost += len(missing(cluster.heads[number % 3], done))
        remove(cluster.heads[0], done)
    yield Row(f"{what}: longest time without a write, each head", spread(gaps), goal)
    yield Row(f"{what}: writes answered 201 and lost", str(lost), "none")

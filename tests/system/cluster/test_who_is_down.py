"""Who is down, on three live heads of either engine: what dies is found, what does not is never called dead.

Times are asserted with slack: `make bench` measures them.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from tests.support.heads.cluster import Cluster
from tests.support.heads.head import CONFIG, UNIT, Head, wait_for
from tests.support.heads.watching import STANDING, Watched, watching
from tests.system.cluster.conftest import INTERVAL, SLACK, SUSPECT, TIMEOUT

DEAD = ("down",)
either_will_do = pytest.mark.parametrize("cluster", ["sqlite"], indirect=True)
"""What has nothing to do with the engine is tested once."""


def down(head: Head) -> list[str]:
    return [one["uid"] for one in head.api("GET", "/heads/down").data]


def found_down(seen: Watched, three: Cluster, gone: Head, since: float, within: float = TIMEOUT + SLACK) -> None:
    """All others come to say that it is down, and none of them that it does not know."""
    rest = three.others(gone)
    seen.took(rest, gone.uid, "down", since, within)
    assert seen.said(["unknown"], since) == []
    assert seen.said(DEAD, since, [head.uid for head in rest]) == []
    assert [down(head) for head in rest] == [[gone.uid]] * len(rest)


def test_a_head_without_power_is_down_for_all_others_until_it_is_back(three: Cluster) -> None:
    gone = three.heads[2]
    with watching(three.others(gone)) as seen:
        since = time.monotonic()
        three.run.power_off(gone)
        found_down(seen, three, gone, since)

        three.run.power_on(gone)
        seen.took(three.others(gone), gone.uid, "up", time.monotonic(), 2 * SLACK)
    three.settled()


def test_a_head_whose_agent_was_killed_for_good_is_down(three: Cluster) -> None:
    gone = three.heads[0]
    with watching(three.others(gone)) as seen:
        since = time.monotonic()
        gone.kill_for_good()
        found_down(seen, three, gone, since)


@either_will_do
def test_an_agent_that_is_killed_and_restarted_at_once_is_never_down(three: Cluster) -> None:
    killed = three.heads[1]
    with patience(three.others(killed), 6 * TIMEOUT), watching(three.others(killed)) as seen:
        since = time.monotonic()
        killed.signal(signal.SIGKILL)
        wait_for(killed.processes, "systemd to start it again")
        three.settled()
        assert time.monotonic() - since < 6 * TIMEOUT, "this machine took too long for its start: this proves nothing"
        assert seen.said(DEAD, since) == []


def test_a_head_that_stops_in_order_is_down_at_once_and_up_soon_after_its_start(three: Cluster) -> None:
    stopped = three.heads[1]
    with watching(three.others(stopped)) as seen:
        since = time.monotonic()
        stopped.stop_agent()
        found_down(seen, three, stopped, since)

        stopped.systemctl("start", "clusterware-head-agent.socket", "clusterware-head-agent.service")
        seen.took(three.others(stopped), stopped.uid, "up", time.monotonic(), SLACK)


@either_will_do
def test_a_head_whose_agent_was_stopped_in_its_tracks_accuses_nobody_when_it_goes_on(three: Cluster) -> None:
    stopped = three.heads[0]
    rest = [head.uid for head in three.others(stopped)]
    with watching([stopped]) as seen:
        stopped.signal(signal.SIGSTOP)
        time.sleep(1.5 * TIMEOUT)
        since = time.monotonic()
        stopped.signal(signal.SIGCONT)
        time.sleep(TIMEOUT)
        assert seen.said(DEAD, since, rest) == []
    three.settled()


def test_a_frozen_head_is_down_and_accuses_nobody_when_it_is_thawed(three: Cluster) -> None:
    frozen = three.heads[2]
    rest = three.others(frozen)
    with watching(three.heads) as seen:
        since = time.monotonic()
        frozen.freeze()
        seen.took(rest, frozen.uid, "down", since, TIMEOUT + SLACK)
        frozen.thaw()
        seen.took(rest, frozen.uid, "up", time.monotonic(), SLACK)
        assert seen.said(DEAD, since, [head.uid for head in rest]) == []


@either_will_do
def test_a_link_that_is_cut_one_way_is_no_dead_head(three: Cluster) -> None:
    one, other, _ = three.heads
    with watching(three.heads) as seen:
        since = time.monotonic()
        three.run.network.cut_one_way(one.name, other.name)
        wait_for(lambda: not _hears(other, one), "the cut to show in heard_by", TIMEOUT + SLACK)
        time.sleep(TIMEOUT)
        assert seen.said(DEAD, since) == []
        assert seen.said(["minority"], since) == []

        three.run.network.repair()
        wait_for(lambda: _hears(other, one), "the link to be used again", 2 * SLACK)
        assert seen.said(DEAD, since) == []


@either_will_do
def test_a_restart_of_the_switch_kills_nobody(three: Cluster) -> None:
    with watching(three.heads) as seen:
        since = time.monotonic()
        with three.run.network.switch_down():
            time.sleep(0.6 * TIMEOUT)
        time.sleep(TIMEOUT)
        assert seen.said(DEAD, since) == []


@either_will_do
def test_lost_packets_kill_nobody(three: Cluster) -> None:
    names = [head.name for head in three.heads]
    with watching(three.heads) as seen:
        since = time.monotonic()
        three.run.network.lose(0.1, names, names)
        time.sleep(2.5 * TIMEOUT)
        assert seen.said(DEAD, since) == []


def test_the_smaller_part_of_a_split_says_so_and_removes_nobody(three: Cluster) -> None:
    small, *rest = three.heads
    with watching(three.heads) as seen:
        since = time.monotonic()
        three.run.network.partition([small.name], [head.name for head in rest])
        seen.took([small], STANDING, "minority", since, TIMEOUT + SLACK)
        seen.took(rest, small.uid, "down", since, TIMEOUT + SLACK)

        refused = small.api("DELETE", "/heads/down")
        assert refused.status in (409, 503), refused.body
        assert refused.body["reason"]
        assert small.api("DELETE", f"/head/{rest[0].uid}").status in (409, 503)

        three.run.network.repair()
        seen.took([small], STANDING, "majority", time.monotonic(), SLACK)
        three.settled()
        assert seen.said(DEAD, since, [head.uid for head in rest]) == []


@either_will_do
def test_a_clock_that_is_a_day_off_is_no_death(three: Cluster) -> None:
    off = three.heads[1]
    with patience(three.heads, 6 * TIMEOUT), watching(three.heads) as seen:
        off.set_clock("+1d")
        since = time.monotonic()
        three.settled()
        time.sleep(TIMEOUT + 2 * INTERVAL)
        wait_for(lambda: all(_hears(head, off) for head in three.others(off)), "it to be heard still", SLACK)
        assert seen.said(DEAD, since) == []
        off.set_clock("")


@contextmanager
def patience(observers: Sequence[Head], timeout: float) -> Iterator[None]:
    """Have these heads wait that many seconds before they call another down: a busy machine starts agents slowly."""

    def wait(seconds: float, instead_of: float) -> None:
        for head in observers:
            head.run("sed", "-i", f"s/^timeout = {instead_of:g}s$/timeout = {seconds:g}s/", CONFIG)
            head.systemctl("reload", UNIT)

    wait(timeout, TIMEOUT)
    try:
        yield
    finally:
        wait(TIMEOUT, timeout)


def _hears(observer: Head, subject: Head) -> bool:
    """Whether the one hears the other itself, by its own account."""
    heard: dict[str, float] = observer.api("GET", f"/head/{subject.uid}").data[subject.uid]["heard_by"]
    return heard.get(observer.uid, float("inf")) < SUSPECT

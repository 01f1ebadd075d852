"""What cw-headctl doctor and status say of a cluster on etcd in which several things are wrong at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.heads.cluster import ETCD, Cluster
from tests.support.heads.head import Head, wait_for
from tests.system.cluster.conftest import SLACK

pytestmark = pytest.mark.parametrize("cluster", ["etcd"], indirect=True)


def amiss(head: Head) -> dict[tuple[str, str], dict[str, Any]]:
    """What the head's agent finds that is not well, by check and subject."""
    findings = json.loads(head.run("cw-headctl", "--json", "status", check=False).stdout)["findings"]
    return {(one["check"], one["subject"]): one for one in findings if one["level"] != "ok"}


def finds(head: Head, condition: Callable[[dict[tuple[str, str], dict[str, Any]]], object], what: str) -> None:
    """Wait until it does; an etcd that is started again takes its time on a busy machine."""
    wait_for(lambda: condition(amiss(head)), f"{what} at {head.name}: {amiss(head)}", 3 * SLACK)


def test_members_that_stop_a_clock_that_is_off_and_a_quorum_that_is_lost_are_told_with_what_to_do(
    three: Cluster,
) -> None:
    first, second, third = three.heads
    wait_for(lambda: not amiss(first), "a cluster that is well", 3 * SLACK)
    told = first.run("cw-headctl", "status").stdout.splitlines()
    assert "Everything is well." in told
    assert max(map(len, told)) <= 80
    assert len(told) <= 24

    third.kill_for_good(ETCD)
    second.set_clock("+1d")
    try:
        clock, members = ("clock", second.uid), ("database members", third.uid)
        finds(first, lambda bad: {clock, members} <= bad.keys(), "both")
        bad = amiss(first)
        assert bad[clock]["detail"].startswith("its clock is 1 day ahead of the other heads'")
        assert "`timedatectl`" in bad[clock]["todo"]
        assert bad[members]["detail"] == "2 of 3 members answer; it bears no further loss"
        assert "`journalctl -u clusterware-head-agent-etcd`" in bad[members]["todo"]

        second.kill_for_good(ETCD)
        finds(first, lambda bad: bad.get(("database", "etcd")), "that nothing can be written")
        lost = amiss(first)["database", "etcd"]
        assert lost["level"] == "failed"
        assert "no quorum" in lost["detail"]
        assert "`cw-headctl database recover`" in lost["todo"]
        wait_for(lambda: _databases(first) == ["failed"] * 3, "each head to say so", 3 * SLACK)
    finally:
        second.set_clock("")
        three.mend()
    three.settled(seconds=3 * SLACK)
    wait_for(lambda: not amiss(first), "all to be well again", 3 * SLACK)


def _databases(head: Head) -> list[str]:
    """How the database is on each head, as one of them tells of all."""
    everywhere = head.run("cw-headctl", "--all-heads", "status", check=False)
    assert everywhere.returncode == 3
    return [line.split()[1] for line in everywhere.stdout.splitlines() if "etcd, " in line]


def test_what_another_head_is_told_over_the_network_has_none_of_its_paths(three: Cluster) -> None:
    first, second = three.heads[:2]
    told = first.api("GET", "/head/doctor", on=second.uid).data["findings"]
    assert not [one for one in told if "/var/" in json.dumps(one) or "/etc/" in json.dumps(one)]
    examined = first.run("cw-headctl", "--json", "doctor", "--head", second.name, check=False)
    assert json.loads(examined.stdout)["uid"] == second.uid

"""The shared engine on three live heads: members that die, hang and are cut off while records are written."""

from __future__ import annotations

import signal
import time

import pytest

from tests.support.heads.cluster import ETCD, Cluster, everywhere
from tests.support.heads.head import Head, wait_for
from tests.support.heads.writing import missing, remove, writing
from tests.system.cluster.conftest import SLACK, TIMEOUT

pytestmark = pytest.mark.parametrize("cluster", ["etcd"], indirect=True)


def test_the_leader_of_etcd_is_killed_and_no_promise_is_broken(three: Cluster) -> None:
    leader = three.etcd_leader()
    with writing(three.heads) as done:
        time.sleep(1)
        since = time.monotonic()
        leader.signal(signal.SIGKILL, ETCD)
        time.sleep(5)
        until = time.monotonic()

    assert max(one.longest_gap(since, until) for one in done) < 3 + SLACK
    everywhere(three.heads, lambda head: not missing(head, done), "what was promised")
    remove(three.heads[0], done)


def test_a_member_that_hangs_is_gone_around(three: Cluster) -> None:
    hung = three.others(three.etcd_leader())[0]
    with writing(three.heads) as done:
        time.sleep(1)
        since = time.monotonic()
        hung.signal(signal.SIGSTOP, ETCD)
        time.sleep(4)
        until = time.monotonic()
        hung.signal(signal.SIGCONT, ETCD)

    assert max(one.longest_gap(since, until) for one in done) < 1.5 + SLACK
    assert missing(three.heads[0], done) == set()
    remove(three.heads[0], done)


def test_all_heads_answer_alike_who_is_down(three: Cluster) -> None:
    gone = three.heads[2]
    gone.kill_for_good()

    rest = three.others(gone)
    everywhere(rest, lambda head: head.api("GET", "/heads/down").data, "the verdict", TIMEOUT + SLACK)

    one, other = (head.api("GET", "/heads/down").body for head in rest)

    assert one["meta"]["verdict"] == other["meta"]["verdict"] == "agreed"
    assert [(x["uid"], x["state"], x["down_since"]) for x in one["data"]] == [
        (x["uid"], x["state"], x["down_since"]) for x in other["data"]
    ]


def test_without_quorum_reads_are_marked_writes_refused_and_all_recovers(three: Cluster) -> None:
    last, *rest = three.heads
    image = last.api("POST", "/images", {"name": "kept"}).data
    for head in rest:
        three.run.power_off(head)

    wait_for(lambda: _stale(last) is not None, "answers to be marked", TIMEOUT + SLACK)
    assert last.api("GET", f"/image/{image}").status == 200
    wait_for(lambda: last.api("POST", "/images", {"name": "no"}).status == 503, "writes to be refused", SLACK)
    refused = last.api("POST", "/images", {"name": "no"})
    assert refused.body["code"] == "no-quorum"
    assert "recover" in refused.body["reason"]
    assert last.api("GET", "/head/services").status == 200
    assert last.api("POST", "/head/services", {"status": "start", "services": ["clusterware-head-agent"]}).status < 504
    assert last.api("DELETE", "/heads/down").status in (409, 503)
    assert last.api("GET", "/heads/down").body["meta"]["verdict"] == "local"
    assert last.api("GET", "/readyz").status == 503
    assert last.api("GET", "/healthz").status == 200

    # An agent that starts without quorum comes up with the copy that it has on disk.
    last.systemctl("restart", "clusterware-head-agent.service")
    assert last.api("GET", f"/image/{image}").status == 200
    assert _stale(last) is not None

    for head in rest:
        three.run.power_on(head)
    wait_for(lambda: last.api("POST", "/images", {"name": "again"}).status == 201, "writes to work again", 3 * SLACK)
    three.settled()
    wait_for(lambda: _stale(last) is None, "answers to be fresh again")
    for name in ("kept", "again"):
        assert rest[0].api("DELETE", f"/image/{name}").status == 200


def _stale(head: Head) -> float | None:
    """How old the head says that its answer is."""
    value = head.api("GET", "/images").headers.get("X-Stale")
    return None if value is None else float(value)

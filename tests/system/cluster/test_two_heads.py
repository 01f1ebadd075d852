"""Two live heads: when one dies there is no majority to lose to, and on etcd no quorum either."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.support.heads import Heads
from tests.support.heads.cluster import Cluster
from tests.support.heads.head import wait_for
from tests.support.heads.watching import watching
from tests.system.cluster.conftest import CONFIG, SLACK, TIMEOUT


@pytest.fixture(params=["sqlite", "etcd"])
def two(heads: Heads, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    made = Cluster(heads, request.param, config=CONFIG)
    machines = heads.boot_all(*(f"two-{request.param}{number}" for number in (1, 2)))
    made.start(machines)
    made.settled()
    yield made
    heads.shut_down_all(machines)


def test_one_of_two_dies_and_the_other_says_so(two: Cluster) -> None:
    left, gone = two.heads
    with watching([left]) as seen:
        since = time.monotonic()
        two.run.power_off(gone)
        seen.took([left], gone.uid, "down", since, TIMEOUT + SLACK)
        assert seen.said(["unknown", "minority"], since) == []

    listed = left.api("GET", "/heads/down").body
    assert [one["uid"] for one in listed["data"]] == [gone.uid]
    assert listed["meta"]["verdict"] == "local"
    removed = left.api("DELETE", "/heads/down")
    if two.engine == "sqlite":
        assert (removed.status, [one["uid"] for one in removed.data]) == (200, [gone.uid])
        assert left.api("GET", "/heads").body["meta"]["standing"] == "alone"
        return
    assert (removed.status, removed.body["code"]) == (503, "no-quorum")
    assert "cw-headctl database recover" in removed.body["reason"]
    two.run.power_on(gone)
    wait_for(lambda: left.api("POST", "/images", {"name": "again"}).status == 201, "writes to work again", 3 * SLACK)
    two.settled()

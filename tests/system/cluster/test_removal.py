"""Heads that are removed, that leave, and that come back, on three live heads of either engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.heads import Head, Host
from tests.support.heads.cluster import Cluster, everywhere, failing
from tests.support.heads.head import wait_for
from tests.support.stolen import Stolen
from tests.system.cluster.conftest import SLACK, TIMEOUT

AT_ONCE = 1.0
"""Seconds within which a removed head is shut out everywhere."""


@pytest.fixture
def steal(three: Cluster, elsewhere: Host, tmp_path: Path) -> Iterator[Callable[[Head], Stolen]]:
    """Steals what a head has, and connects to all others with it."""
    taken: list[Stolen] = []

    def stolen(head: Head) -> Stolen:
        taken.append(Stolen.of(head, three, elsewhere, tmp_path))
        assert taken[-1].opens_everything()
        return taken[-1]

    yield stolen
    for one in taken:
        one.close()


def known(head: Head) -> set[str]:
    return set(head.api("GET", "/heads").data)


def down(head: Head) -> list[str]:
    return [one["uid"] for one in head.api("GET", "/heads/down").data]


def shut_out(rest: list[Head], gone: Stolen, since: float) -> float:
    """Seconds until nothing of that head's opens any of these heads, and none of them knows it; fails after a while."""

    def dead() -> bool:
        return gone.opens_nothing() and all(gone.head.uid not in known(head) for head in rest)

    wait_for(dead, f"{gone.head.name} to be shut out", SLACK)
    return time.monotonic() - since


def test_a_dead_head_is_evicted_shut_out_at_once_and_stays_out_until_it_joins_again(
    three: Cluster, steal: Callable[[Head], Stolen]
) -> None:
    gone = three.heads[2]
    rest = three.others(gone)
    stolen = steal(gone)
    gone.kill_for_good()
    everywhere(rest, lambda head: down(head) == [gone.uid], "the verdict")

    planned = rest[1].api("DELETE", "/heads/down?dry_run=1")
    assert [one["uid"] for one in planned.data] == [gone.uid]
    assert gone.uid in known(rest[0])
    since = time.monotonic()
    removed = rest[1].api("DELETE", "/heads/down")

    assert (removed.status, [one["uid"] for one in removed.data]) == (200, [gone.uid])
    assert shut_out(rest, stolen, since) < 5 * AT_ONCE
    assert stolen.by_certificate[0].ask("GET", "/api/v1/head/services").refusal == (403, "removed")

    gone.revive()
    wait_for(lambda: "removed" in gone.journal(), "it to say that it was removed", TIMEOUT + SLACK)
    assert gone.api("GET", "/healthz").status == 200
    assert [gone.uid in known(head) for head in rest] == [False, False]

    _rejoin(three, gone)


def test_a_live_head_can_be_removed_and_joins_again(three: Cluster, steal: Callable[[Head], Stolen]) -> None:
    gone, *rest = three.heads
    stolen = steal(gone)
    since = time.monotonic()

    assert rest[0].api("DELETE", f"/head/{gone.uid}").status == 200

    assert shut_out(rest, stolen, since) < 5 * AT_ONCE
    wait_for(lambda: "removed" in gone.journal(), "it to say that it was removed", TIMEOUT + SLACK)
    _rejoin(three, gone)


def test_a_head_leaves_with_its_records_and_joins_again(three: Cluster) -> None:
    gone = three.heads[1]
    rest = three.others(gone)
    image = gone.api("POST", "/images", {"name": "its-own", "content": {"filename": "its-own.img"}}).data

    told = gone.run("cw-headctl", "leave", "--yes").stdout

    assert told
    everywhere(rest, lambda head: gone.uid not in known(head), "the news", SLACK)
    assert known(gone) == {gone.uid}
    assert gone.api("GET", f"/image/{image}").status == 200
    assert gone.api("GET", "/heads").body["meta"]["standing"] == "alone"
    assert gone.api("POST", "/database/leave").status in (200, 409)

    _rejoin(three, gone, "--force")  # what it took along is in the shared database still
    gone.api("DELETE", f"/image/{image}")
    rest[0].api("DELETE", f"/image/{image}")


def test_a_head_is_asked_through_another(three: Cluster) -> None:
    one, other, _ = three.heads

    answer = one.api("GET", "/head/peerurl", on=other.uid)

    assert (answer.status, answer.data["uid"]) == (200, other.uid)
    assert one.api("GET", "/head/services", on=other.uid).status == 200
    assert one.api("GET", "/head/services", on="n" * 32).status == 404
    assert one.run("cw-headctl", "--head", other.uid, "services", check=False).returncode in (0, 3)
    assert "cannot" in failing(one, "cw-headctl", "--head", "n" * 32, "services").stderr


def _rejoin(three: Cluster, head: Head, *options: str) -> None:
    through = three.others(head)[0]
    head.run("cw-headctl", "join", *three.invitation(through), *options)
    three.settled()

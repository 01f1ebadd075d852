"""The agent killed in the middle of a join, on live heads of either engine: what is found after, and a second join."""

from __future__ import annotations

import http.client
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.support.heads import Head
from tests.support.heads.cluster import Cluster
from tests.support.heads.head import UNIT, wait_for
from tests.system.cluster.conftest import SLACK


@pytest.fixture
def out(three: Cluster) -> Iterator[Head]:
    """A head of the three that has left; it is in again at the end."""
    head = three.heads[2]
    head.run("cw-headctl", "leave", "--yes")
    yield head
    if len(_known(head)) == 1:
        head.run("cw-headctl", "join", *three.invitation(three.heads[0]), "--force")


@pytest.mark.parametrize("step", ["take over the database", "prove the membership"])
def test_a_join_that_is_killed_is_undone_or_done_and_a_second_one_ends_it(three: Cluster, out: Head, step: str) -> None:
    invitation = [*three.invitation(three.heads[0]), "--force"]
    with subprocess.Popen(out.argv("cw-headctl", "join", *invitation), stderr=subprocess.PIPE) as joining:
        _reach(out, step, joining)
        out.signal(signal.SIGKILL, UNIT)
        joining.communicate()

    wait_for(lambda: _is_ready(out), "the agent again", 3 * SLACK)
    assert len(_known(out)) in (1, 3)
    out.run("cw-headctl", "join", *invitation)

    three.settled()
    certificate = out.api("GET", "/head/peerurl").data["ca_pem"]
    assert certificate == three.heads[0].api("GET", "/head/peerurl").data["ca_pem"]


def _is_ready(head: Head) -> bool:
    """Whether it answers that it is; while it starts, whoever asks waits in the socket's queue."""
    try:
        return head.api("GET", "/readyz", timeout=5).status == 200
    except (OSError, http.client.HTTPException):
        return False


def _known(head: Head) -> set[str]:
    return set(head.api("GET", "/heads").data)


def _reach(head: Head, step: str, joining: subprocess.Popen[bytes]) -> None:
    """Wait until the join is at that step, past it, or over."""
    until = time.monotonic() + SLACK
    while joining.poll() is None and time.monotonic() < until:
        try:
            steps = head.api("GET", "/head/join", timeout=5).data or []
        except (OSError, http.client.HTTPException):
            return
        if step in [one["step"] for one in steps]:
            return

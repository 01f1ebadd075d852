"""Clusters for the tests: one of three heads for each engine, shared and left as it was found."""

from __future__ import annotations

import subprocess
from collections.abc import Generator, Iterator

import pytest

from tests.support.heads import Head, Heads
from tests.support.heads.cluster import ETCD, Cluster
from tests.support.heads.head import UNIT

INTERVAL, SUSPECT, TIMEOUT = 0.5, 1.5, 2.5
"""The heartbeat of these heads, in seconds; half of the defaults, so that the tests take half as long."""
CONFIG = f"""\
[heartbeat]
interval = {INTERVAL}s
suspect = {SUSPECT}s
timeout = {TIMEOUT}s
[heads]
evict_after = 2s
"""
SLACK = 10.0
"""Seconds that any of it may take longer on a machine that is busy: what is asserted is that it happens."""


@pytest.fixture(scope="session", params=["sqlite", "etcd"])
def cluster(heads: Heads, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Three heads that have joined; ask for `three` instead."""
    made = Cluster(heads, request.param, config=CONFIG)
    machines = heads.boot_all(*(f"{request.param}{number}" for number in (1, 2, 3)))
    made.start(machines)
    yield made
    heads.shut_down_all(machines)


@pytest.fixture
def three(cluster: Cluster) -> Iterator[Cluster]:
    """The shared cluster of three, well before the test and after it."""
    cluster.settled()
    yield cluster
    cluster.mend()
    cluster.settled()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Have the report of what failed hold the heads' journals."""
    report = yield
    heads = getattr(item, "funcargs", {}).get("heads")
    if report.failed and isinstance(heads, Heads):
        for head in heads.running:
            report.sections.append((f"Journal of {head.name}", _journal(head)))
    return report


def _journal(head: Head) -> str:
    """The last lines of the agent and of its etcd; a frozen head shows none."""
    command = ("journalctl", "-q", "-n", "100", "-o", "short-precise", "-u", UNIT, "-u", ETCD)
    try:
        return head.run(*command, check=False, timeout=5).stdout
    except subprocess.TimeoutExpired as err:
        return str(err)

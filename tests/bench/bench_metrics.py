"""GET /metrics of a head among fifteen, with sixty services and every route in use: what a scrape costs.

The baseline is prometheus-client writing as many series that it has been handed ready. Nothing here waits for a disk.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from agent.api.metrics.exposition import Figures, expose
from agent.api.metrics.reading import Reading
from agent.api.metrics.table import METRICS
from agent.api.rooms import Rooms
from agent.api.routes import ROUTES
from agent.api.traffic import Traffic
from agent.config import Config, Live
from agent.files.survey import Surveys
from agent.files.trash import Moved
from agent.heads.liveness import Condition, Outlook, Standing, State
from agent.heads.members import Members
from agent.histogram import Histogram
from agent.loops import Loops
from agent.model import Head
from agent.ports import EngineMember, Unit
from agent.services.actions import Result
from agent.services.requests import Action

HEADS, UNITS, ROUNDS = 15, 60, 200
UIDS = [f"{number:032d}" for number in range(HEADS)]


def traffic() -> Traffic:
    """Each route was asked, with success and without."""
    counted = Traffic()
    counted.connections = lambda: {"stranger": 3, "known": 40, "local": 2}
    for route in ROUTES:
        for status in (200, 503):
            request = SimpleNamespace(method=route.method, content=SimpleNamespace(total_bytes=0))
            counted.note(route.path, cast("web.BaseRequest", request), web.Response(status=status), 0.002)
    return counted


def reading() -> Reading:
    """A head with all of that to tell."""
    loops = Loops()
    for number in range(12):
        loops.add(f"loop {number}", 5.0).turn(0.0)
    healer = SimpleNamespace(counts={}, paused=lambda _: False)
    ended = {(action, result): 1 for action in Action for result in Result}
    units = [Unit(f"clusterware-{n}.service", active_state="active", file_state="enabled") for n in range(UNITS)]
    surveys = Surveys(done=1, ended=0.0)
    rooms = SimpleNamespace(
        live=Live(Config()),
        loops=loops,
        traffic=traffic(),
        streams=(),
        heads=SimpleNamespace(self_uid=UIDS[0]),
        links=UIDS[1:],
        supervisor=SimpleNamespace(units=units, healer=healer, performer=SimpleNamespace(ended=ended)),
        collector=SimpleNamespace(
            surveys=surveys,
            removed=Moved(),
            trash=SimpleNamespace(usage=50.0, content=Moved(), restored=Moved(), purged=Moved()),
        ),
        engine=SimpleNamespace(kind="etcd", problem=None, revision=1),
        store_age=lambda: None,
        instruments=SimpleNamespace(
            heartbeat=SimpleNamespace(links=HEADS - 1, lag=Histogram((0.1, 1.0))),
            upkeep=SimpleNamespace(members=[EngineMember(uid, "", healthy=True) for uid in UIDS[:5]]),
            round_trips=lambda: dict.fromkeys(UIDS[1:], 0.0003),
            commits=Histogram((0.1, 1.0)),
            uncommitted=lambda: 0,
            lost_lines=lambda: 0,
        ),
    )
    heads = {uid: Head(ssh_public="", description="a head", version="0.2.0") for uid in UIDS}
    members = Members("c" * 32, UIDS[0], heads, {}, 1)
    heard = dict.fromkeys(UIDS, 0.5)
    outlook = Outlook(Standing.MAJORITY, "agreed", {uid: Condition(State.UP, heard_by=heard) for uid in UIDS})
    ready = dict.fromkeys(("systemd", "database", "database member", "files", "certificate", "cluster"), True)
    return Reading(cast("Rooms", rooms), 1.0, members, outlook, None, ready, 10_000_000, [])


def figures(told: Reading) -> list[Figures]:
    """What is read on the event loop."""
    return [Figures(metric, list(metric.read(told))) for metric in METRICS]


def timed(work: Callable[[], object]) -> float:
    """Milliseconds that it takes, the median of many times."""
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        took.append(1e3 * (time.perf_counter() - began))
    return statistics.median(took)


def main() -> None:
    """Print the figures and their ratio."""
    told = reading()
    text, _ = expose(figures(told), "")
    series = sum(not line.startswith(b"#") for line in text.splitlines())
    registry = CollectorRegistry()
    gauge = Gauge("baseline", "Baseline.", ["one", "other"], registry=registry)
    for number in range(series):
        gauge.labels("clusterware", str(number)).set(1.0)
    plain, ours = timed(lambda: generate_latest(registry)), timed(lambda: expose(figures(told), ""))
    print(
        f"GET /metrics with {HEADS} heads, {UNITS} services, {len(ROUTES)} routes: {series} series, {len(text)} bytes"
    )
    print(f"  prometheus-client alone {plain:.1f} ms, agent {ours:.1f} ms, ratio {ours / plain:.2f}")
    print(f"  of that on the event loop {timed(lambda: figures(told)):.2f} ms (goal: a few), the rest in a thread")


if __name__ == "__main__":
    main()

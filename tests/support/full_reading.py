"""All that a scrape reads, of a head among fifteen that has sixty services and answered on every route."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from aiohttp import web

from agent.api.metrics.exposition import Figures
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

HEADS, UNITS = 15, 60
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

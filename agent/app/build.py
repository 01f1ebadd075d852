"""Everything that the daemon consists of, built once and in order."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from agent.adapters.addresses import own_addresses
from agent.adapters.clock import SystemClock
from agent.adapters.identity.checks import PeerCertificate
from agent.adapters.identity.exchange import CaFiles, ca_names
from agent.adapters.identity.ssh_keys import key_file
from agent.adapters.identity.tls import ServerTls
from agent.adapters.identity.tokens import JwtMaker, JwtVerifier
from agent.adapters.store import CurrentStore
from agent.adapters.systemd.units import SystemdUnits
from agent.api.access import AccessGate
from agent.api.metrics.instruments import Instruments
from agent.api.openapi import described
from agent.api.rooms import Rooms
from agent.api.routes import ROUTES
from agent.api.server import Api
from agent.api.traffic import Traffic
from agent.app.background import Background
from agent.app.cluster import open_cluster
from agent.app.company import majority
from agent.app.diagnosis import Surroundings, doctor
from agent.app.hostfiles import tell_differences
from agent.app.keeping import keeping
from agent.app.moving import moving
from agent.config import Live, load
from agent.database.checking import Checker
from agent.database.engines import Engines
from agent.database.loading import Loader
from agent.database.upkeep import Upkeep
from agent.errors import Unavailable
from agent.files.objects import objects
from agent.heads.heartbeat import Heartbeat
from agent.heads.record import HEADS
from agent.heads.rotation import Rotation
from agent.lifecycle import watchdog
from agent.loops import Loops, periodic
from agent.model import Kind
from agent.ports import Dependency
from agent.services.supervisor import Supervisor

MEMBERS = 3600.0
"""Seconds between two readings of the members that nothing has called for; a change wakes the loop at once."""
DATABASE = 5.0
"""Seconds between two looks at the engine; nothing signals that a disk has room again, or a member a leader."""
FOUNDING = 600.0
"""Seconds that such a look may take at most: it may begin an etcd and copy all records."""


@dataclass(slots=True)
class Agent:
    """What was built and has to run."""

    api: Api
    tls: ServerTls | None
    """None when this head has no certificate: then only the Unix socket is served."""
    supervisor: Supervisor
    heartbeat: Heartbeat
    lacking: CurrentStore | None
    """The database, when this head has no certificate for want of it; None otherwise."""


async def build(
    path: Path, live: Live, stack: AsyncExitStack, background: Background, lost_lines: Callable[[], int]
) -> Agent:
    """Build every room. `path` is the configuration's; `lost_lines` counts those that the journal did not take.

    Raises Unavailable only for what the agent cannot do anything without.
    """
    config, clock, loops = live.config, SystemClock(), Loops()
    state = config.state.directory
    _make_directory(state)
    units = SystemdUnits()
    supervisor = Supervisor(units, live, loops, clock, partial(load, path))
    background.start(supervisor.run)  # systemd answers while the database opens
    tell_differences(live)

    cluster = await open_cluster(live, stack, units, clock, loops, key_file(config.auth, os.environ))
    engine, registry, heads = cluster.engine, cluster.registry, cluster.directory
    certificate, peers, store = cluster.certificate, cluster.peers, cluster.engine.store
    kept = keeping(live, stack, cluster, clock, loops)
    moves = moving(live, cluster, kept.backups, clock)
    upkeep = Upkeep(engine, lambda: registry.members.heads, majority(heads), config.head.uid, clock)
    rotation = Rotation(
        CaFiles(state, lambda: registry.members.cluster, clock, lambda: certificate.keeper().check()),
        peers,
        lambda: registry.members,
        engine.believed,
        upkeep.left_behind,
        ca_names,
        clock,
    )
    dependencies = (
        Dependency("systemd", _known(lambda: supervisor.problem)),
        Dependency("database", _known(lambda: store.problem)),
        Dependency("database member", _known(lambda: engine.problem)),
        Dependency("files", kept.collector.problem),
        Dependency("certificate", _known(lambda: certificate.problem)),
        Dependency("cluster", _known(lambda: registry.problem)),
    )
    around = Surroundings(
        live=live,
        clock=clock,
        loops=loops,
        dependencies=dependencies,
        store=store,
        engine=store,
        members=engine,
        roster=lambda: registry.members,
        directory=heads,
        last_beat=cluster.detector.last_beat,
        peers=peers,
        identity=certificate.identity,
        supervisor=supervisor,
        collector=kept.collector,
        backups=kept.backups,
        state_disk=kept.state_disk,
        store_disk=kept.store_disk,
        lost_lines=lost_lines,
        certificate_ends=peers.certificate_ends,
    )
    verbs = objects(store)
    specs = {kind: records.spec for kind, records in verbs.items()}
    rooms = Rooms(
        live=live,
        loops=loops,
        traffic=Traffic(),
        instruments=Instruments(
            cluster.heartbeat, upkeep, peers.round_trips, store.commits, lambda: store.uncommitted, lost_lines
        ),
        dependencies=dependencies,
        doctor=doctor(around),
        openapi=described(ROUTES),
        cleaner=kept.cleaner,
        backups=kept.backups,
        checker=Checker(store, store, kept.cleaner, {Kind.HEAD: HEADS, **specs}),
        loader=Loader(store, store, specs, kept.backups, lambda: config.head.uid, clock),
        engines=Engines(store, engine, engine, kept.backups, lambda: registry.members.heads, config.head.uid),
        membership=moves.membership,
        admission=moves.admission,
        joining=moves.joining,
        parting=moves.parting,
        rotation=rotation,
        engine=store,
        engine_url=lambda: engine.peer_url,
        store_age=lambda: store.age,
        peers=peers,
        links=cluster.links,
        streams=cluster.streams,
        gossip=cluster.gossip,
        members=lambda: registry.members,
        identity=certificate.identity,
        token_maker=JwtMaker(key_file(config.auth, os.environ), lambda: registry.members, clock),
        heads=heads,
        objects=verbs,
        supervisor=supervisor,
        collector=kept.collector,
        references=kept.references,
    )
    gate = AccessGate(live, rooms.members, JwtVerifier(), PeerCertificate.read, own_addresses, clock)
    members_loop, database_loop = loops.add("members", MEMBERS), loops.add("database", DATABASE, FOUNDING)
    upkeep_loop, verdicts_loop = loops.add("database members", DATABASE), loops.add("verdicts", DATABASE)
    background.start(
        kept.collector.run,
        cluster.heartbeat.run,
        *certificate.background,
        partial(periodic, members_loop, registry.reconcile, wake=registry.changed),
        partial(periodic, verdicts_loop, cluster.verdicts.reconcile, wake=cluster.verdicts.changed),
        partial(periodic, database_loop, engine.reconcile, wake=engine.changed),
        partial(periodic, upkeep_loop, upkeep.reconcile),
    )
    background.do(moves.membership.resume, partial(watchdog, loops))
    lacking = store if certificate.lacks_database else None
    return Agent(Api(rooms, gate, ROUTES), certificate.tls, supervisor, cluster.heartbeat, lacking)


def _make_directory(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as err:
        raise Unavailable(f"cannot make the state directory {directory}: {err.strerror}") from err


def _known(problem: Callable[[], str | None]) -> Callable[[], Awaitable[str | None]]:
    """What is known already, in the form that a Dependency asks for."""

    async def ask() -> str | None:
        return problem()

    return ask

"""Everything that the daemon consists of, built once and in order."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from agent.adapters.addresses import own_addresses, reachable_addresses
from agent.adapters.clock import SystemClock
from agent.adapters.disk import Disk
from agent.adapters.etcd.engine import HeadEngine
from agent.adapters.filestore.directory import DirectoryStore
from agent.adapters.identity.checks import PeerCertificate
from agent.adapters.identity.exchange import CaFiles, ca_names
from agent.adapters.identity.files import IdentityFiles, Place
from agent.adapters.identity.ssh_keys import key_file
from agent.adapters.identity.tls import ServerTls
from agent.adapters.identity.tokens import JwtMaker, JwtVerifier
from agent.adapters.peers.members import HttpPeers
from agent.adapters.store import CurrentStore
from agent.adapters.systemd.units import SystemdUnits
from agent.api.access import AccessGate
from agent.api.links import Links
from agent.api.metrics.instruments import Instruments
from agent.api.openapi import described
from agent.api.rooms import Rooms
from agent.api.routes import ROUTES
from agent.api.server import Api
from agent.api.streams import Streams
from agent.api.traffic import Traffic
from agent.app.background import Background
from agent.app.certificate import Certificate, place
from agent.app.company import company, gone, majority, minority
from agent.app.diagnosis import Surroundings, doctor
from agent.app.hostfiles import tell_differences
from agent.app.moving import moving
from agent.config import Live
from agent.database.backups import Backups
from agent.database.checking import Checker
from agent.database.cleaning import Cleaner
from agent.database.engines import Engines
from agent.database.loading import Loader
from agent.database.upkeep import Upkeep
from agent.errors import Unavailable
from agent.files.collector import Collector
from agent.files.everywhere import EveryHead
from agent.files.objects import objects
from agent.files.references import OwnReferences
from agent.heads.detector import Detector
from agent.heads.directory import HeadDirectory
from agent.heads.gossip import Gossip
from agent.heads.heartbeat import Heartbeat
from agent.heads.journal import Journal
from agent.heads.record import HEADS
from agent.heads.registry import HeadRegistry
from agent.heads.rotation import Rotation
from agent.heads.verdicts import SHARED, Verdicts
from agent.lifecycle import watchdog
from agent.loops import Loops, periodic
from agent.model import Kind
from agent.ports import Dependency
from agent.records.locks import Locks
from agent.records.turns import Turns
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
    live: Live, stack: AsyncExitStack, background: Background, lost_lines: Callable[[], int] = lambda: 0
) -> Agent:
    """Build every room; `lost_lines` counts those that the journal did not take.

    Raises Unavailable only for what the agent cannot do anything without.
    """
    config, clock, loops = live.config, SystemClock(), Loops()
    state = config.state.directory
    _make_directory(state)
    units = SystemdUnits()
    supervisor = Supervisor(units, live, loops, clock)
    background.start(supervisor.run())  # systemd answers while the database opens
    tell_differences(live)
    key = key_file(config.auth, os.environ)

    opening = HeadEngine.open(
        config, units, clock, reachable_addresses, lambda: certificate.identity(), lambda: registry.members, loops
    )
    engine = await stack.enter_async_context(opening)
    store = engine.store
    registry = HeadRegistry(store, config.head.uid, clock)
    registry.engine_url = lambda: engine.peer_url
    registry.shared = lambda: engine.kind != "sqlite"
    store.barred = lambda: registry.problem if store.kind == SHARED else None
    detector = Detector(lambda: registry.members, config.head.uid, live, clock)
    Journal(detector)
    verdicts = Verdicts(store, store, lambda: registry.members, detector, clock)
    heads = HeadDirectory(store, registry, clock, verdicts.look, live, engine)

    def here() -> Place:
        return place(config.api)

    files = IdentityFiles(state, config.head.uid, here)
    certificate = await Certificate.of(files, registry, key, live, clock, loops)

    own_references = OwnReferences(store, live)
    peers = await stack.enter_async_context(HttpPeers.open(live, lambda: registry.members, certificate.identity, clock))
    gossip = Gossip(live, store, registry, peers, clock, lambda: store.kind)
    heartbeat = Heartbeat(live, registry, peers, detector, gossip, loops, clock)
    links = Links(live, heartbeat.heard)
    registry.follow(links.recheck)
    streams = Streams()
    registry.follow(streams.recheck)
    registry.follow(lambda _members: engine.changed.set())

    references = EveryHead(own_references, peers, company(registry, heads, store))
    turns = Turns(store, store, Locks(store, config.head.uid, clock, gone(registry, heads)), minority(registry, heads))
    file_store = DirectoryStore(config.files.root)
    stack.callback(file_store.close)
    collector = Collector(file_store, references, own_references, turns, live, loops, clock)

    backups = Backups(store, state / "backups", live, clock, registry.load)
    moves = moving(live, store, registry, heads, peers, engine, engine, certificate, backups, here, clock)
    upkeep = Upkeep(engine, lambda: registry.members.heads, majority(heads), config.head.uid, clock)
    rotation = Rotation(
        CaFiles(state, lambda: registry.members.cluster, clock, lambda: certificate.keeper().check()),
        peers,
        lambda: registry.members,
        engine.believed,
        ca_names,
        clock,
    )
    dependencies = (
        Dependency("systemd", _known(lambda: supervisor.problem)),
        Dependency("database", _known(lambda: store.problem)),
        Dependency("database member", _known(lambda: engine.problem)),
        Dependency("files", collector.problem),
        Dependency("certificate", _known(lambda: certificate.problem)),
        Dependency("cluster", _known(lambda: registry.problem)),
    )
    state_disk, store_disk = Disk(state), Disk(config.files.root)
    stack.callback(state_disk.close)
    stack.callback(store_disk.close)
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
        last_beat=detector.last_beat,
        peers=peers,
        identity=certificate.identity,
        supervisor=supervisor,
        collector=collector,
        backups=backups,
        state_disk=state_disk,
        store_disk=store_disk,
        lost_lines=lost_lines,
    )
    cleaner = Cleaner(store, store, collector.housekeeping, backups, turns, live, clock)
    verbs = objects(store)
    specs = {kind: records.spec for kind, records in verbs.items()}
    rooms = Rooms(
        live=live,
        loops=loops,
        traffic=Traffic(),
        instruments=Instruments(
            heartbeat, upkeep, peers.round_trips, store.commits, lambda: store.uncommitted, lost_lines
        ),
        dependencies=dependencies,
        doctor=doctor(around),
        openapi=described(ROUTES),
        cleaner=cleaner,
        backups=backups,
        checker=Checker(store, store, cleaner, {Kind.HEAD: HEADS, **specs}),
        loader=Loader(store, store, specs, backups, lambda: config.head.uid, clock),
        engines=Engines(store, engine, engine, backups, lambda: registry.members.heads, config.head.uid),
        membership=moves.membership,
        admission=moves.admission,
        joining=moves.joining,
        parting=moves.parting,
        rotation=rotation,
        engine=store,
        engine_url=lambda: engine.peer_url,
        store_age=lambda: store.age,
        peers=peers,
        links=links,
        streams=streams,
        gossip=gossip,
        members=lambda: registry.members,
        identity=certificate.identity,
        token_maker=JwtMaker(key, lambda: registry.members, clock),
        heads=heads,
        objects=verbs,
        supervisor=supervisor,
        collector=collector,
        references=own_references,
    )
    gate = AccessGate(live, rooms.members, JwtVerifier(), PeerCertificate.read, own_addresses, clock)
    members_loop, database_loop = loops.add("members", MEMBERS), loops.add("database", DATABASE, FOUNDING)
    upkeep_loop, verdicts_loop = loops.add("database members", DATABASE), loops.add("verdicts", DATABASE)
    background.start(
        collector.run(),
        heartbeat.run(),
        *(work() for work in certificate.background),
        periodic(members_loop, registry.reconcile, wake=registry.changed),
        periodic(verdicts_loop, verdicts.reconcile, wake=verdicts.changed),
        periodic(database_loop, engine.reconcile, wake=engine.changed),
        periodic(upkeep_loop, upkeep.reconcile),
        moves.membership.resume(),
        watchdog(loops),
    )
    lacking = store if certificate.lacks_database else None
    return Agent(Api(rooms, gate, ROUTES), certificate.tls, supervisor, heartbeat, lacking)


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

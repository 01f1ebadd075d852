"""This head among the others: its records, its certificate, who the heads are and which of them is down."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from agent.adapters.addresses import reachable_addresses
from agent.adapters.clock import SystemClock
from agent.adapters.etcd.engine import HeadEngine
from agent.adapters.identity.files import IdentityFiles, Place
from agent.adapters.peers.members import HttpPeers
from agent.adapters.systemd.units import SystemdUnits
from agent.api.links import Links
from agent.api.streams import Streams
from agent.app.certificate import Certificate, place
from agent.config import Live
from agent.heads.detector import Detector
from agent.heads.directory import HeadDirectory
from agent.heads.gossip import Gossip
from agent.heads.heartbeat import Heartbeat
from agent.heads.journal import Journal
from agent.heads.registry import HeadRegistry
from agent.heads.verdicts import SHARED, Verdicts
from agent.loops import Loops


@dataclass(frozen=True, slots=True)
class Cluster:
    """The rooms of the heads, and what connects them."""

    engine: HeadEngine
    registry: HeadRegistry
    detector: Detector
    verdicts: Verdicts
    directory: HeadDirectory
    certificate: Certificate
    place: Callable[[], Place]
    """Where others reach this head now."""
    peers: HttpPeers
    gossip: Gossip
    heartbeat: Heartbeat
    links: Links
    streams: Streams


async def open_cluster(
    live: Live, stack: AsyncExitStack, units: SystemdUnits, clock: SystemClock, loops: Loops, key: Path
) -> Cluster:
    """Open the database, know the heads, have a certificate, and be able to ask and hear the others."""
    config = live.config
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
    directory = HeadDirectory(store, registry, clock, verdicts.look, live, engine)

    def here() -> Place:
        return place(config.api)

    files = IdentityFiles(config.state.directory, config.head.uid, here)
    certificate = await Certificate.of(files, registry, key, live, clock, loops)
    peers = await stack.enter_async_context(HttpPeers.open(live, lambda: registry.members, certificate.identity, clock))
    gossip = Gossip(live, store, registry, peers, clock, lambda: store.kind)
    heartbeat = Heartbeat(live, registry, peers, detector, gossip, loops, clock)
    links, streams = Links(live, heartbeat.heard), Streams()
    registry.follow(links.recheck)
    registry.follow(streams.recheck)
    registry.follow(lambda _members: engine.changed.set())
    return Cluster(
        engine, registry, detector, verdicts, directory, certificate, here, peers, gossip, heartbeat, links, streams
    )

"""Heads within the test's process that are wired together as the agent's are: real TLS, each on a loopback address."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import aiohttp

from agent.adapters.clock import SystemClock
from agent.adapters.identity.certificates import Pair, make_ca
from agent.adapters.identity.checks import PeerCertificate
from agent.adapters.identity.files import IdentityFiles, Place
from agent.adapters.identity.tls import ServerTls
from agent.adapters.identity.tokens import JwtVerifier
from agent.adapters.peers.members import HttpPeers
from agent.api.access import AccessGate
from agent.api.links import Links
from agent.api.listening import serving
from agent.api.rooms import Rooms
from agent.api.routes import ROUTES
from agent.api.server import Api
from agent.api.streams import Streams
from agent.api.traffic import Traffic
from agent.config import Config, Live
from agent.config.sections import Head as HeadSection
from agent.config.sections import Heartbeat as HeartbeatSection
from agent.heads.beat import Beat
from agent.heads.detector import Detector
from agent.heads.directory import HeadDirectory
from agent.heads.gossip import Gossip
from agent.heads.heartbeat import Heartbeat
from agent.heads.identity import Identity
from agent.heads.members import Members
from agent.heads.registry import HeadRegistry
from agent.loops import Loops
from agent.model import Head, Kind
from agent.ports import Put
from agent.records.spec import plain
from agent.services.changes import Changes
from tests.support.described import checking
from tests.support.gate import TEST_ROUTES
from tests.support.http import unix_listener
from tests.support.memory_store import MemoryStore
from tests.support.people import CLUSTER
from tests.support.ssh import pair
from tests.support.waiting import wait_for

INTERVAL, SUSPECT, TIMEOUT = 0.1, 0.4, 0.8
"""Seconds: a tenth of what heads have, and some spare for a machine that others use too."""
_SERVED = {
    "/head/heartbeat",
    "/head/roster",
    "/head/peerurl",
    "/heads",
    "/heads/join",
    "/head/{uid}",
    "/head/services/events",
    "/database/backups",
}


def uid(number: int) -> str:
    """The uid of the head at 127.0.0.<number>."""
    return str(number).rjust(32, "h")


@dataclass
class Wired:
    """One running head."""

    number: int
    directory: Path
    live: Live
    store: MemoryStore
    registry: HeadRegistry
    files: IdentityFiles
    place: list[Place]
    identities: list[Identity]
    peers: HttpPeers
    detector: Detector
    heads: HeadDirectory
    gossip: Gossip
    heartbeat: Heartbeat
    links: Links
    streams: Streams
    changes: Changes
    listener: socket.socket
    beats: list[Beat] = field(default_factory=list)
    age: list[float | None] = field(default_factory=lambda: [None])
    ends: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    @property
    def uid(self) -> str:
        """Its uid."""
        return uid(self.number)

    @property
    def identity(self) -> Identity:
        """What its certificate says now."""
        return self.identities[-1]

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"https://127.0.0.{self.number}:{self.listener.getsockname()[1]}"

    @property
    def socket(self) -> Path:
        """Its Unix socket."""
        return self.directory / "socket"

    @property
    def members(self) -> Members:
        """Whom it has for members."""
        return self.registry.members

    def record(self) -> Head:
        """What its own record says."""
        return Head(
            ssh_public=pair("ed25519").public,
            ca_pem=self.identity.ca_pem,
            key_sha256=self.identity.key_sha256,
            url=self.url,
            generation=1,
        )

    def state_of(self, other: Wired) -> str:
        """What it says of another head."""
        condition = self.heads.outlook().conditions.get(other.uid)
        return condition.state.value if condition else "none"

    async def know(self, *others: Wired, **changes: Any) -> None:
        """Have records of other heads, as a join would write them."""
        for other in others:
            body = {**plain(other.record()), **changes}
            await self.store.commit(Put(Kind.HEAD, other.uid, body))
        await self.registry.reconcile()

    def reissue(self) -> None:
        """Get another certificate for the same key, as when its addresses change."""
        self.place[0] = replace(self.place[0], addresses=(f"10.9.9.{len(self.identities)}",))
        self.identities.append(self.files.open(CLUSTER, SystemClock().now()))

    async def over_socket(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Ask it on its Unix socket."""
        connector = aiohttp.UnixConnector(str(self.socket))
        async with (
            aiohttp.ClientSession("http://head", connector=connector, trace_configs=[checking()]) as session,
            session.request(method, path, json=body, headers=headers) as answer,
        ):
            return answer.status, await answer.json()


class Wires:
    """The heads of one test, and the CA that they share."""

    def __init__(self, directory: Path, timeout: float = TIMEOUT) -> None:
        """`timeout`: seconds after which a silent head is down, and a link that cannot be had is told of."""
        self.directory = directory
        self._heartbeat = HeartbeatSection(INTERVAL, SUSPECT, timeout)
        self.ca: Pair = make_ca(CLUSTER, SystemClock().now())
        self.heads: list[Wired] = []

    async def head(self, number: int, *, ca: Pair | None = None, listener: socket.socket | None = None) -> Wired:
        """Make a head; it runs once `start` says so."""
        directory = self.directory / str(number)
        (directory / "state").mkdir(parents=True)
        (directory / "state" / "ca.pem").write_bytes((ca or self.ca).pem())
        (directory / "state" / "ca.pem").chmod(0o600)
        live = Live(Config(head=HeadSection(uid=uid(number)), heartbeat=self._heartbeat))
        clock, loops, store = SystemClock(), Loops(), MemoryStore()
        await store.commit(Put(Kind.CLUSTER, "cluster", {"id": CLUSTER}))
        registry = HeadRegistry(store, uid(number), clock)
        place = [Place((), (f"127.0.0.{number}",), ())]
        files = IdentityFiles(directory / "state", uid(number), lambda: place[0])
        identities = [files.open(CLUSTER, clock.now())]
        ends = contextlib.AsyncExitStack()
        peers = await ends.enter_async_context(
            HttpPeers.open(live, lambda: registry.members, lambda: identities[-1], clock)
        )
        detector = Detector(lambda: registry.members, uid(number), live, clock)
        heads = HeadDirectory(store, registry, clock, detector.look, live)
        gossip = Gossip(live, store, registry, peers, clock, lambda: store.kind)
        heartbeat = Heartbeat(live, registry, peers, detector, gossip, loops, clock)
        beats: list[Beat] = []

        def heard(beat: Beat) -> None:
            beats.append(beat)
            heartbeat.heard(beat)

        links = Links(live, heard)
        registry.follow(links.recheck)
        streams = Streams()
        registry.follow(streams.recheck)
        listener = listener or socket.create_server((f"127.0.0.{number}", 0))
        made = Wired(
            number,
            directory,
            live,
            store,
            registry,
            files,
            place,
            identities,
            peers,
            detector,
            heads,
            gossip,
            heartbeat,
            links,
            streams,
            Changes(),
            listener,
            beats,
            ends=ends,
        )
        self.heads.append(made)
        await registry.ensure_self(made.record())
        return made

    @contextlib.asynccontextmanager
    async def running(self, head: Wired) -> AsyncIterator[Wired]:
        """Have a head serve, beat and follow its store; what it needs to stop in order is left to the test."""
        rooms = SimpleNamespace(
            live=head.live,
            traffic=Traffic(),
            engine=head.store,
            store_age=lambda: head.age[-1],
            engine_url=lambda: None,
            members=lambda: head.members,
            identity=lambda: head.identity,
            peers=head.peers,
            links=head.links,
            streams=head.streams,
            supervisor=SimpleNamespace(changes=head.changes),
            gossip=head.gossip,
            heads=head.heads,
            admission=SimpleNamespace(proved=lambda _uid: None),  # nobody joins here
        )
        gate = AccessGate(
            head.live, lambda: head.members, JwtVerifier(), PeerCertificate.read, lambda: (), SystemClock()
        )
        tls = ServerTls(lambda: head.members, lambda: head.identity)
        routes = [*(route for route in ROUTES if route.path in _SERVED), *TEST_ROUTES]
        api = Api(cast("Rooms", rooms), gate, routes)
        with head.listener, unix_listener(head.socket) as unix:
            async with (
                head.ends,
                _background(head.heartbeat.run(), _following(head.registry)),
                serving(api, [head.listener, unix], tls.context, lambda: 0.0),
            ):
                yield head


@contextlib.asynccontextmanager
async def wired(directory: Path, count: int, timeout: float = TIMEOUT) -> AsyncIterator[list[Wired]]:
    """That many heads which know each other, running, once each has heard each other."""
    wires = Wires(directory, timeout)
    heads = [await wires.head(number + 2) for number in range(count)]
    for head in heads:
        await head.know(*(other for other in heads if other is not head))
    async with contextlib.AsyncExitStack() as stack:
        for head in heads:
            await stack.enter_async_context(wires.running(head))
        await wait_for(lambda: all(len({beat.head for beat in head.beats}) == count - 1 for head in heads))
        yield heads


async def _following(registry: HeadRegistry) -> None:
    while True:
        await registry.changed.wait()
        registry.changed.clear()
        await registry.reconcile()


@contextlib.asynccontextmanager
async def _background(*works: Any) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in works]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()

"""The agent's server with its real gate, on TLS over loopback and on a Unix socket, for tests of access."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import aiohttp

from agent.adapters.clock import SystemClock
from agent.adapters.identity.checks import PeerCertificate
from agent.adapters.identity.files import IdentityFiles, Place
from agent.adapters.identity.tls import ServerTls
from agent.adapters.identity.tokens import JwtMaker, JwtVerifier
from agent.api.access import AccessGate
from agent.api.call import Access, Answer, Call, Route
from agent.api.links import Links
from agent.api.listening import serving
from agent.api.rooms import Rooms
from agent.api.routes import ROUTES
from agent.api.server import Api
from agent.api.streams import Streams
from agent.api.traffic import Traffic
from agent.config import Config, Live
from agent.heads.identity import Identity
from tests.support.described import checking
from tests.support.http import unix_listener
from tests.support.people import CLUSTER, ME, Roster, head, members
from tests.support.pki import Holder, client_context
from tests.support.rows import ANYTHING
from tests.support.ssh import pair


async def _who(call: Call) -> Answer:
    """Who the gate says is calling."""
    caller = call.caller
    return Answer({"local": caller.local, "subject": caller.subject, "head": caller.head, "uid": caller.uid})


TEST_ROUTES = tuple(
    Route(
        "GET",
        f"/test/{access.value}",
        _who,
        access,
        "says who calls",
        "HeadsRead" if access is Access.TOKEN else None,
        answers=ANYTHING,
    )
    for access in Access
)
_OWN = {("GET", "/head/peerurl"), ("POST", "/head/token")}


@dataclass
class Head:
    """A running head under test."""

    directory: Path
    roster: Roster
    live: Live
    own_addresses: set[str]
    identity: Identity
    port: int
    socket: Path
    files: IdentityFiles
    connected: int = 0
    """How many TLS connections clients have made."""
    sessions: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    async def over_tls(
        self, shown: Holder | None = None, *chain: Holder, host: str = "127.0.0.1"
    ) -> aiohttp.ClientSession:
        """A client with one connection of its own, which shows this certificate."""
        file = shown.write(self.directory / f"client-{id(shown)}.pem", *chain) if shown else None
        connector = aiohttp.TCPConnector(ssl=client_context(self.identity.ca_pem, file), limit=1)
        url = f"https://[{host}]:{self.port}" if ":" in host else f"https://{host}:{self.port}"
        traces = aiohttp.TraceConfig()
        traces.on_connection_create_end.append(self._count)
        session = aiohttp.ClientSession(url, connector=connector, trace_configs=[traces, checking()])
        return await self.sessions.enter_async_context(session)

    async def _count(self, *_: object) -> None:
        self.connected += 1

    async def over_socket(self) -> aiohttp.ClientSession:
        """A client on the Unix socket."""
        connector = aiohttp.UnixConnector(str(self.socket))
        session = aiohttp.ClientSession("http://head", connector=connector, trace_configs=[checking()])
        return await self.sessions.enter_async_context(session)


@contextlib.asynccontextmanager
async def running_head(directory: Path) -> AsyncIterator[Head]:
    """A head with the gate, TLS, tokens and routes that the agent has, whose members the test decides."""
    (directory / "state").mkdir()
    ssh = pair("ed25519")
    place = Place(("localhost",), ("127.0.0.1", "::1"), ("[::]:52390",))
    clock = SystemClock()
    files = IdentityFiles(directory / "state", ME, lambda: place)
    identity = files.open(CLUSTER, clock.now())
    roster = Roster(members(me=head(identity.ca_pem, ssh_public=ssh.public)))
    running = Head(directory, roster, Live(Config()), {"127.0.0.1"}, identity, 0, directory / "socket", files)
    tls = ServerTls(roster, lambda: running.identity)
    gate = AccessGate(running.live, roster, JwtVerifier(), PeerCertificate.read, lambda: running.own_addresses, clock)
    rooms = SimpleNamespace(
        engine=SimpleNamespace(kind="sqlite", age=None),
        engine_url=lambda: None,
        store_age=lambda: None,
        links=Links(running.live, lambda _: None),
        streams=Streams(),
        live=running.live,
        traffic=Traffic(),
        members=roster,
        identity=lambda: running.identity,
        token_maker=JwtMaker(ssh.write(directory / "ssh_key"), roster, clock),
    )
    routes = [route for route in ROUTES if (route.method, route.path) in _OWN]
    api = Api(cast("Rooms", rooms), gate, [*routes, *TEST_ROUTES])
    tcp = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    with tcp, unix_listener(running.socket) as unix:
        async with serving(api, [tcp, unix], tls.context, lambda: 0.0):
            running.port = tcp.getsockname()[1]
            async with running.sessions:
                yield running


async def ask(
    client: aiohttp.ClientSession, path: str, *, token: str | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, dict[str, Any]]:
    """Status and body of a GET."""
    given = dict(headers or {})
    if token is not None:
        given["Authorization"] = f"Bearer {token}"
    async with client.get(path, headers=given) as response:
        return response.status, await response.json()

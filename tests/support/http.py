"""Raw and ordinary HTTP over a Unix socket, and the agent's own server with rows of the test's to ask."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
from aiohttp import web

from agent.api.call import Caller, Route
from agent.api.links import Links
from agent.api.listening import IN_FLIGHT, serving
from agent.api.rooms import Rooms
from agent.api.server import Api
from agent.api.streams import Streams
from agent.api.traffic import Traffic
from agent.config import Config, Live
from tests.support.described import checking


class OpenGate:
    """Lets everybody in as a local caller."""

    def admit(self, route: Route, request: web.BaseRequest) -> Caller:
        """Anybody may."""
        return self.met(request)

    def met(self, request: web.BaseRequest) -> Caller:
        """Root."""
        return Caller(local=True, address="local", uid=0)


def unix_listener(path: Path) -> socket.socket:
    """A listening Unix socket at `path`."""
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(path))
    sock.listen(100)
    return sock


@contextlib.asynccontextmanager
async def served(
    path: Path,
    routes: Sequence[Route],
    *,
    drain: float | Callable[[], float] = 0.0,
    in_flight: float = IN_FLIGHT,
    rooms: Mapping[str, object] | None = None,
    others: Sequence[socket.socket] = (),
) -> AsyncIterator[Api]:
    """The agent's HTTP server with these rows, and the rooms that they enter, on a Unix socket at `path`.

    `others` are listened on too, with TLS that never comes about, for want of a certificate.
    """
    live = Live(Config())
    given = {
        "live": live,
        "store_age": lambda: None,
        "links": Links(live, lambda _: None),
        "streams": Streams(),
        "traffic": Traffic(),
        **(rooms or {}),
    }
    entered = cast("Rooms", SimpleNamespace(**given))
    api = Api(entered, OpenGate(), routes)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with unix_listener(path) as sock:
        async with serving(api, [sock, *others], tls, drain if callable(drain) else lambda: drain, in_flight):
            yield api


@contextlib.asynccontextmanager
async def client(path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """An HTTP client that connects to the Unix socket at `path`; what it is answered is held against /openapi.json."""
    async with aiohttp.ClientSession(
        "http://head", connector=aiohttp.UnixConnector(str(path)), trace_configs=[checking()]
    ) as session:
        yield session


async def raw(path: Path, data: bytes) -> bytes:
    """Send bytes as they stand and read until the server closes; a sound request has to ask for that."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(data)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    await writer.wait_closed()
    return answer


def envelope(data: Any) -> dict[str, Any]:
    """What a success looks like."""
    return {"success": True, "data": data}

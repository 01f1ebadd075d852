"""One question and its answer, bounded in time and size."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import ssl
import struct
import termios
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
import msgspec

from agent.adapters.peers.failures import FAILURES, why
from agent.errors import Unavailable
from agent.log import REQUEST_ID
from agent.ports import SMALL, PeerAnswer

PREFIX = "/api/v1"
CONNECT = 3.0
"""Seconds for the connection and its handshake; heads are near each other."""
NEXT_ADDRESS = 0.1
"""Seconds after which a name's next address is tried too."""
_THIN_LINEAR_TIMEOUTS = 16
"""TCP_THIN_LINEAR_TIMEOUTS (tcp.h): a lost packet is sent again every 0.2 s, and not after ever longer waits; with
these a few lost in a row do not make a head suspect."""
_MOST_VALUES = 2_000_000
"""Lists, objects and values in an answer. Decoded, a small one takes fifty times the memory of its text, and nothing
else runs meanwhile: msgspec keeps the interpreter to itself, so that a thread would not help."""


def session(
    context: ssl.SSLContext, silence: float, begun: Callable[[socket.socket], None] = lambda _sock: None
) -> aiohttp.ClientSession:
    """A client of one agent; a connection breaks once what was sent is not acknowledged for `silence` seconds.

    `begun` is told of each socket that is about to connect.
    """

    def make_socket(address: Any) -> socket.socket:
        family, kind, protocol, *_ = address
        sock = socket.socket(family, kind, protocol)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(silence * 1000))
        sock.setsockopt(socket.IPPROTO_TCP, _THIN_LINEAR_TIMEOUTS, 1)
        begun(sock)
        return sock

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            ssl=context, limit=0, socket_factory=make_socket, happy_eyeballs_delay=NEXT_ADDRESS
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        json_serialize=lambda body: msgspec.json.encode(body).decode(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT),
    )


async def exchange(
    client: aiohttp.ClientSession,
    who: str,
    url: str,
    method: str,
    path: str,
    body: Any,
    *,
    timeout: float,
    headers: Mapping[str, str],
    largest: int = SMALL,
) -> PeerAnswer:
    """Ask the agent at `url`; `who` names it in failures. Raises Unavailable with the code `unreachable`."""
    given = {"Accept-Encoding": "identity", **headers}
    if (request_id := REQUEST_ID.get()) is not None:
        given.setdefault("X-Request-Id", request_id)
    try:
        async with (
            asyncio.timeout(timeout),
            client.request(method, address(url, path), json=body, headers=given, allow_redirects=False) as response,
        ):
            return await answer_of(response, url, largest)
    except FAILURES as err:
        raise Unavailable(f"{who} cannot be reached at {url}: {why(err)}", code="unreachable") from err


async def answer_of(response: aiohttp.ClientResponse, url: str, largest: int = SMALL) -> PeerAnswer:
    """A response as an agent's answer; raises Unavailable, and what the client library raises on the way."""
    try:
        text = await _read(response, largest)
        return PeerAnswer(response.status, _envelope(text), dict(response.headers))
    except _NotAnAgent as err:
        raise Unavailable(f"what answers at {url} is no head agent: {err}", code="unreachable") from err


def address(url: str, path: str) -> str:
    """Where an agent's path is, under its URL; raises ValueError unless TLS is spoken there."""
    if not url.startswith("https://"):
        raise ValueError("its URL does not begin with https://")
    return url.rstrip("/") + PREFIX + path


def outstanding(sock: socket.socket) -> int:
    """Bytes that were written and that the other end's kernel has not acknowledged (tcp(7), SIOCOUTQ)."""
    found: int = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"))[0]
    return found


class _NotAnAgent(Exception):
    """The answer is none that an agent gives."""


async def _read(response: aiohttp.ClientResponse, largest: int) -> bytes:
    parts, total = [], 0
    async for part in response.content.iter_any():
        total += len(part)
        if total > largest:
            raise _NotAnAgent(f"its answer is larger than {largest} bytes")
        parts.append(part)
    return b"".join(parts)


def _envelope(text: bytes) -> dict[str, Any]:
    if not text:
        return {}
    if sum(text.count(mark) for mark in (b"{", b"[", b",")) > _MOST_VALUES:
        raise _NotAnAgent(f"its answer has more than {_MOST_VALUES} values")
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as err:
        raise _NotAnAgent("its answer is not JSON") from err
    if not isinstance(value, dict):
        raise _NotAnAgent("its answer is JSON, but not an object")
    return value

"""Bytes that two programs could take for different requests: this one answers once, and reads nothing after it."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Iterator

import pytest

from tests.support.hostile import exchange, request
from tests.support.lone_agent import Agent, lone_agent

HIDDEN = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
"""The request that somebody in between would not have seen."""


@pytest.fixture(scope="module")
def agent() -> Iterator[Agent]:
    """The agent that all of this is sent to."""
    with lone_agent() as made:
        yield made


def post(*headers: bytes, body: bytes = b"{}", version: bytes = b"1.1") -> bytes:
    """A request with these headers as they stand, and the hidden one right behind it."""
    lines = [b"POST /nowhere HTTP/" + version, b"Host: x", *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body + HIDDEN


CHUNKED = b"Transfer-Encoding: chunked"
END = b"0\r\n\r\n"
AMBIGUOUS = {
    "both lengths": post(b"Content-Length: 5", CHUNKED, body=END),
    "both lengths, the other way round": post(CHUNKED, b"Content-Length: 5", body=END),
    "one length twice": post(b"Content-Length: 2", b"Content-Length: 2"),
    "two lengths": post(b"Content-Length: 2", b"Content-Length: 0"),
    "a list of lengths": post(b"Content-Length: 2, 2"),
    "a length with a sign": post(b"Content-Length: +2"),
    "a length in hex": post(b"Content-Length: 0x2"),
    "a space before the colon": post(b"Content-Length : 2"),
    "a folded header": post(b"X: y", b" Content-Length: 2", b"Content-Length: 2"),
    "a folded encoding": post(b"Transfer-Encoding:", b" chunked", body=END),
    "an encoding that is none": post(b"Transfer-Encoding: xchunked", body=END),
    "two encodings": post(CHUNKED, b"Transfer-Encoding: identity", body=END),
    "an encoding that does nothing": post(b"Transfer-Encoding: identity", b"Content-Length: 2"),
    "an encoding in HTTP/1.0": post(CHUNKED, b"Connection: keep-alive", body=END, version=b"1.0"),
    "line feeds alone": post(b"Content-Length: 2").replace(b"\r\n", b"\n"),
    "one line feed alone": post(b"X: y\nContent-Length: 2"),
    "a carriage return alone": post(b"X: y\rContent-Length: 2"),
    "a NUL": post(b"X: a\0b", b"Content-Length: 2"),
    "a chunk's extension that ends in a line feed": post(CHUNKED, body=b"2;\n{}\r\n" + END),
    "a negative chunk": post(CHUNKED, body=b"-2\r\n{}\r\n" + END),
    "a chunk's length as Python writes it": post(CHUNKED, body=b"0_2\r\n{}\r\n" + END),
    "a chunk longer than can be": post(CHUNKED, body=b"f" * 17 + b"\r\n{}\r\n" + END),
    "a length in the trailer": post(CHUNKED, body=b"2\r\n{}\r\n0\r\nContent-Length: 5\r\n\r\n"),
    "a version that is none": b"GET /healthz HTTP/9.9\r\nHost: x\r\n\r\n" + HIDDEN,
    "HTTP/0.9": b"GET /healthz HTTP/0.9\r\n\r\n" + HIDDEN,
    "no host": b"GET /healthz HTTP/1.1\r\n\r\n" + HIDDEN,
    "two hosts": b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + HIDDEN,
}


async def statuses(agent: Agent, sent: bytes) -> list[int]:
    """The answers until the agent closes the connection, by their status."""
    reader, writer = await asyncio.open_unix_connection(str(agent.socket))
    try:
        writer.write(sent)
        got = await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()
    return [int(found) for found in re.findall(rb"HTTP/1\.[01] (\d{3})", got)]


@pytest.mark.parametrize("name", AMBIGUOUS)
async def test_what_is_ambiguous_is_refused_and_nothing_after_it_is_read(agent: Agent, name: str) -> None:
    assert set(await statuses(agent, AMBIGUOUS[name])) <= {400}


async def test_what_is_not_ambiguous_is_answered_in_its_order(agent: Agent) -> None:
    last = HIDDEN.replace(b"Host: x", b"Host: x\r\nConnection: close")
    sent = post(CHUNKED, body=b"2;name=value\r\n{}\r\n" + END) + post(b"Content-Length: 2") + last
    assert await statuses(agent, sent) == [404, 200, 404, 200, 200]


async def test_an_upgrade_that_nobody_asked_for_hides_nothing(agent: Agent) -> None:
    upgrade = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n"
    assert await statuses(agent, upgrade + HIDDEN) == [200]


async def test_a_websocket_is_for_heads_and_what_follows_a_refused_one_is_not_read(agent: Agent) -> None:
    headers = b"Host: x\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    wanted = b"GET /head/heartbeat HTTP/1.1\r\n" + headers + b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    assert await statuses(agent, wanted + b"\x82\xff" + b"\xff" * 8 + HIDDEN) == [403]


def test_tls_is_not_renegotiated_nor_spoken_in_old_versions(agent: Agent) -> None:
    for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1"):
            old.minimum_version = old.maximum_version = version
        with (
            socket.create_connection(("127.0.0.1", agent.port), 10) as plain,
            pytest.raises((ssl.SSLError, ConnectionError)),
        ):
            old.wrap_socket(plain)


async def test_after_all_that_it_is_alive_and_met_no_bug(agent: Agent) -> None:
    assert (await exchange(agent.socket, request("GET", "/healthz"))).status == 200
    for sign in ("Traceback", "met a bug", "never retrieved"):
        assert sign not in agent.log

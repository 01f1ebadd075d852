"""The calling end of a heartbeat link, at servers and kernels that do not answer as they should."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import os
import socket
import ssl
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.adapters.peers.link import BACKLOG, KNOCK, open_link
from agent.adapters.peers.tls import unverified_context
from agent.errors import Unavailable
from tests.support.pki import authority, certificate
from tests.support.waiting import wait_for
from tests.support.wired import TIMEOUT

WS_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455, 1.3."""
TCP_AGAIN = 1.0
"""Seconds after which TCP sends a first packet again that was not answered, from the same port (RFC 6298, 2.1)."""
SYN_SENT = 2
"""TCP_SYN_SENT of tcp_states.h."""


@contextlib.asynccontextmanager
async def deaf_server(directory: Path) -> AsyncIterator[str]:
    """A server that upgrades to a WebSocket and from then on reads nothing."""
    done, gone = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        key = next(line.partition(": ")[2] for line in request.splitlines() if line.startswith("Sec-WebSocket-Key"))
        accept = base64.b64encode(hashlib.sha1(key.encode() + WS_GUID).digest()).decode()
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
            + f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await done.wait()
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        gone.set()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(authority()).write(directory / "deaf.pem"))
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    server = await asyncio.start_server(serve, sock=listener, ssl=context)
    try:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        done.set()
        await gone.wait()
        server.close()
        await server.wait_closed()


async def test_a_link_that_is_not_read_drops_beats_never_waits_and_is_given_up_in_time(tmp_path: Path) -> None:
    sent = 0

    async def flood(url: str) -> None:
        nonlocal sent
        async with open_link(unverified_context(), "deaf", url, TIMEOUT) as link:
            while True:
                async with asyncio.timeout(0.2):
                    await link.send(b"x" * BACKLOG)
                sent += 1
                await asyncio.sleep(0.01)

    async with deaf_server(tmp_path) as url, asyncio.timeout(10 * TIMEOUT):
        with pytest.raises(Unavailable, match="the link to head deaf broke"):
            await flood(url)
    assert sent > 10


async def test_a_first_packet_that_is_lost_is_sent_again_sooner_than_tcp_would() -> None:
    """A listener without room drops it; what comes before long, and is let in once there is room, is a new attempt."""
    assert KNOCK < TCP_AGAIN / 2
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as stack:
        full.settimeout(0)
        stack.enter_context(socket.create_connection(address := full.getsockname()))
        loop = asyncio.get_running_loop()
        task = loop.create_task(linked(f"https://127.0.0.1:{address[1]}"))
        await wait_for(knocking)
        lost = knocking()
        await wait_for(lambda: knocking() - lost)
        stack.enter_context((await loop.sock_accept(full))[0])
        connection, (_, port) = await loop.sock_accept(full)
        stack.enter_context(connection)
        assert port not in lost
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def knocking() -> set[int]:
    """The ports of this process whose first packet is not answered yet."""
    found = set()
    for number in map(int, os.listdir("/proc/self/fd")):
        with contextlib.suppress(OSError):  # what listed them is closed by now
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                with socket.socket(fileno=os.dup(number)) as sock:
                    if sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == SYN_SENT:
                        found.add(sock.getsockname()[1])
    return found


async def linked(url: str) -> None:
    """Open a link."""
    async with open_link(unverified_context(), "far", url, TIMEOUT):
        raise AssertionError("nobody answers there")

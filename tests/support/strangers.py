"""Servers that are no head agents, or not the ones that they should be: what a client must not fall for."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.pki import Holder
from tests.support.waiting import wait_for

ENVELOPE = b'{"success":true,"data":"hello"}'


def http_answer(body: bytes = ENVELOPE, status: str = "200 OK", *headers: str) -> bytes:
    """An HTTP answer as it is on the wire."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Content-Type: application/json", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@dataclass
class Stranger:
    """A server, and what was sent to it: `received` holds the bytes of requests, TLS taken off."""

    port: int = 0
    answer: bytes = http_answer()
    received: bytearray = field(default_factory=bytearray)
    connections: int = 0
    ended: int = 0

    @property
    def url(self) -> str:
        """Where it is."""
        return f"https://127.0.0.1:{self.port}"


@contextlib.asynccontextmanager
async def stranger(
    holder: Holder | None,
    directory: Path,
    answer: bytes | None = None,
    newest: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED,
) -> AsyncIterator[Stranger]:
    """A server with this certificate, or without TLS, that gives one answer to everything; an empty one is silence."""
    made = Stranger()
    if answer is not None:
        made.answer = answer

    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.connections += 1
        writers.append(writer)
        tls = writer.get_extra_info("ssl_object")
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while piece := await reader.read(65536):
                made.received += piece
                if made.answer and (tls is None or made.received.endswith((b"\r\n\r\n", b"}"))):
                    writer.write(made.answer)
                    await writer.drain()
            writer.close()
            await writer.wait_closed()
        made.ended += 1

    context = None
    if holder is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(holder.write(directory / f"stranger-{id(made)}.pem"))
        context.num_tickets = 0
        context.maximum_version = newest
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await server.wait_closed()
        for writer in writers:
            writer.transport.abort()
        await wait_for(lambda: made.ended == made.connections)
        await asyncio.sleep(0)  # the client's end hears of it in the next turn of the loop

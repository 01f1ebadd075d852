"""Server-Sent Events: answers that go on until their reader, its right to them, or this agent ends.

Written here: aiohttp-sse wants aiohttp's Application, which this agent's server does not have, and gives neither a
bound on what a slow reader may leave untaken nor a way to end all streams.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import Any

import msgspec
import structlog
from aiohttp import web

from agent.api.connections import Connection
from agent.errors import AgentError, Denied, Unavailable
from agent.heads.members import Members

log = structlog.get_logger()

MEDIA = "text/event-stream"
MOST = 300
"""Readers at a time, of all streams together."""
EACH = 100
"""Of these, from one address or, on the Unix socket, of one user: nobody may keep all others from following."""
KEEP_ALIVE = 15.0
"""Seconds of silence after which a comment is sent: only so is it noticed that a reader is gone."""
PATIENCE = 10.0
"""Seconds that a reader may take no more of what was written; then it is closed."""
LARGEST = 2**20
"""Bytes of the largest event that is passed on."""
RETRY = 1000
"""Milliseconds after which a reader should connect again."""
_END = b"\n\n"
_GOODBYE = 0.2
_UNHEARD = 30_000
"""Milliseconds without an acknowledgement by the reader's kernel after which its connection is broken."""

Chunks = AsyncGenerator[bytes, None]
Admit = Callable[[], object]
"""Judges once more whether the reader may; raises as the gate does."""


class _Stream:
    """One reader."""

    def __init__(self, admit: Admit, origin: str = "") -> None:
        """`origin`: whom it counts for."""
        self._admit = admit
        self.origin = origin
        self.scope = asyncio.timeout(None)
        """Around its work."""
        self.over = False
        self.why = ""
        """Why it was ended from outside; empty when the reader has gone."""

    def end(self, why: str) -> None:
        """Have its work end at once."""
        if not self.over:
            self.over, self.why = True, why
            self.scope.reschedule(asyncio.get_running_loop().time())

    def check(self) -> None:
        """Raises Denied once the caller may not any more; while nobody can tell, it may."""
        try:
            self._admit()
        except Unavailable:
            return
        except AgentError as err:
            raise Denied(err.reason, code=err.code) from err


class Streams:
    """The readers of all streams. Each is judged anew with everything that is sent, and when the members change."""

    def __init__(self, most: int = MOST, patience: float = PATIENCE, each: int = EACH) -> None:
        self._most = most
        self._each = each
        self._patience = patience
        self._streams: set[_Stream] = set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._streams)

    async def serve(
        self, request: web.BaseRequest, headers: Mapping[str, str], admit: Admit, chunks: Chunks
    ) -> web.StreamResponse:
        """Send chunks, as far as a reader takes them, until it or its right ends; raises Unavailable (`readers`)."""
        async with aclosing(chunks):
            if self._closed:
                raise Unavailable("this agent is stopping", code="stopping")
            origin = request.protocol.origin if isinstance(request.protocol, Connection) else ""
            self._check_room(origin)
            response = web.StreamResponse(headers={"Content-Type": f"{MEDIA}; charset=utf-8", **headers})
            if request.method == "HEAD":
                await response.prepare(request)
            else:
                await self._serve(request, _Stream(admit, origin), chunks, response)
        return response

    def _check_room(self, origin: str) -> None:
        """Raises Unavailable where there is none for one more reader of that origin."""
        if len(self._streams) >= self._most:
            raise Unavailable(
                f"{self._most} readers follow streams of this agent, and no more may: end some", code="readers"
            )
        if sum(stream.origin == origin for stream in self._streams) >= self._each:
            raise Unavailable(
                f"{self._each} readers of yours follow streams of this agent, and no more may: end some", code="readers"
            )

    def recheck(self, _members: Members) -> None:
        """End the streams of heads that are not known any more; called when the members have changed."""
        for stream in list(self._streams):
            try:
                stream.check()
            except Denied as err:
                stream.end(err.reason)

    def close(self) -> None:
        """End all and begin no more: this agent stops."""
        self._closed = True
        for stream in list(self._streams):
            stream.end("this agent is stopping")

    async def _serve(
        self, request: web.BaseRequest, stream: _Stream, chunks: Chunks, response: web.StreamResponse
    ) -> None:
        why = ""
        self._streams.add(stream)
        try:
            async with stream.scope:
                _watch(request, lambda: stream.end(""))
                await response.prepare(request)
                async for chunk in chunks:
                    stream.check()
                    await self._send(response, chunk)
        except TimeoutError:
            why = stream.why
        except AgentError as err:
            why = err.reason
        except ConnectionError:
            why = ""
        finally:
            stream.over = True
            self._streams.discard(stream)
        log.debug("Stream ended", path=request.path, reason=why or "one of both ends has gone")
        if why:
            await _say_goodbye(request, response, why)

    async def _send(self, response: web.StreamResponse, chunk: bytes) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await response.write(chunk)
        except TimeoutError as err:
            raise Unavailable("it takes what is sent too slowly", code="slow") from err


async def told(
    take: Callable[[], list[Any]], wake: asyncio.Event, text: Callable[[Any], bytes], keep_alive: float = KEEP_ALIVE
) -> Chunks:
    """What `take` gives whenever `wake` is set, as events; comments in between, so that silence means a broken line."""
    yield b"retry: %d\n\n" % RETRY
    while True:
        try:
            async with asyncio.timeout(keep_alive):
                await wake.wait()
        except TimeoutError:
            yield b": still here\n\n"
        else:
            yield b"".join(map(text, take()))


async def whole(parts: AsyncIterator[bytes]) -> Chunks:
    """Another agent's stream, cut where an event ends, so that a break leaves no half of one; raises Unavailable."""
    rest = bytearray()
    async for part in parts:
        rest += part
        # Never the whole of it anew: a head that sends byte by byte would have this one search for minutes.
        if (cut := rest.rfind(_END, max(0, len(rest) - len(part) - 1))) >= 0:
            yield bytes(rest[: cut + len(_END)])
            del rest[: cut + len(_END)]
        if len(rest) > LARGEST:
            raise Unavailable(f"the other head's events are larger than {LARGEST} bytes", code="unreachable")


def event(name: str, data: Any, number: int | None = None) -> bytes:
    """One event in the format of the HTML standard (section 9.2.6): JSON has no line breaks that would divide it."""
    head = b"" if number is None else b"id: %d\n" % number
    return b"%sevent: %s\ndata: %s\n\n" % (head, name.encode(), msgspec.json.encode(data))


def _watch(request: web.BaseRequest, gone: Callable[[], None]) -> None:
    """Be told at once when the reader closes its connection, and soon when its machine is not there any more."""
    if isinstance(request.protocol, Connection):
        request.protocol.lost = gone
    sock = request.transport.get_extra_info("socket") if request.transport is not None else None
    if sock is not None and sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNHEARD)


async def _say_goodbye(request: web.BaseRequest, response: web.StreamResponse, why: str) -> None:
    """Tell why it ends, if the reader takes that at once; else close the connection without waiting for anything."""
    try:
        async with asyncio.timeout(_GOODBYE):
            await response.write(event("end", {"reason": why}))
            await response.write_eof()
    except (TimeoutError, ConnectionError):
        if request.transport is not None and not request.transport.is_closing():
            request.transport.abort()

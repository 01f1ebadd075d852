"""The connections that requests come on: how long they may last, and answers also to what is no request."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable

from aiohttp import StreamReader, web
from typing_extensions import override

from agent.api.crowd import PATIENCE, Crowd
from agent.errors import Unavailable

KEEPALIVE = 75.0
"""Seconds that a connection may be idle, or take to send a request's header, before it is closed; see `crowd`."""
LARGEST = 32 * 1024
"""Bytes of a request's header, and of all requests that wait behind the one that is being answered; as much again is
taken before the client is held up. Parsed, they take twice the memory."""
UNTAKEN = 64 * 1024
"""Bytes of answers that a client may leave untaken before it counts as slow."""
SLOW = 100
"""Slow connections of one standing at a time: each holds whole answers in memory."""
HEADS = 500
"""Connections of known heads at a time: of the most heads that a cluster may have, some each."""

Respond = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
RespondToBroken = Callable[[web.BaseRequest, int, BaseException | None], web.StreamResponse]


class Standings:
    """The connections that are open, by what is known of who is behind them."""

    def __init__(self) -> None:
        self.strangers = Crowd(patience=PATIENCE)
        """Over TCP, and nothing is proved yet: the handshake is under way, or only public routes were asked for."""
        self.known = Crowd()
        """Over TCP, with a good token."""
        self.heads = Crowd(most=HEADS, each=HEADS // 2)
        """Over TCP, as a known head: no token, however little it permits, may keep heads from hearing each other."""
        self.local = Crowd()
        """On the Unix socket: operators must come through whatever happens on the network."""
        self.slow_strangers, self.slow_known = Crowd(SLOW, SLOW), Crowd(SLOW, SLOW)
        """Those of them who do not take what they have asked for."""


class Connection(web.RequestHandler):
    """aiohttp's connection, which knows its place in the crowd, and answers what it cannot parse in the envelope."""

    __slots__ = (
        "_answer_broken",
        "_body",
        "_crowd",
        "_kept",
        "_slow",
        "_standings",
        "_whole",
        "arriving",
        "lost",
        "origin",
    )

    def __init__(
        self, server: HttpServer, answer_broken: RespondToBroken, standings: Standings, loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=KEEPALIVE,
            access_log=None,  # type: ignore[arg-type]  # documented, and missing in its annotation
            lingering_time=1.0,
            auto_decompress=False,  # no bombs: a compressed body is malformed JSON
        )
        self._answer_broken = answer_broken
        self._standings = standings
        self._crowd: Crowd | None = None
        self._slow: Crowd | None = None
        """Where it counts while it takes nothing; None where it may."""
        self._kept = 0
        """Bytes of headers that came since no request waited."""
        self._whole = True
        """Whether a request ended in them."""
        self._body: StreamReader | None = None
        """That of the latest request."""
        self.origin = ""
        """Whom it counts for: an address, a network of them, or a user of the Unix socket."""
        self.arriving: socket.socket | None = None
        """While the connection is being set up, its socket."""
        self.lost: Callable[[], None] | None = None
        """Is told when its client has closed it, for an answer that goes on and on."""

    @property
    def waits(self) -> bool:
        """Whether it is its client's turn: to shake hands, to send a request, or to take an answer."""
        return self.transport is None or self.writing_paused or (self._waiter is not None and not self._waiter.done())

    @property
    def idle_since(self) -> float:
        """When it was set up, or last answered on it, by the event loop's clock; aiohttp reckons its end from there."""
        return self._next_keepalive_close_time - KEEPALIVE

    def come(self, origin: str, *, local: bool) -> bool:
        """Whether there is room for it, as a stranger unless it is on the Unix socket; see `Crowd.enter`."""
        self.origin = origin
        self._crowd = self._standings.local if local else self._standings.strangers
        self._slow = None if local else self._standings.slow_strangers
        return self._crowd.enter(self, origin)

    def let_in(self, *, head: bool) -> None:
        """Who is behind it has been proved: from now on it may be idle for as long as others. Raises Unavailable."""
        if self._crowd is not self._standings.strangers:
            return
        crowd = self._standings.heads if head else self._standings.known
        if not crowd.enter(self, self.origin):
            raise Unavailable("too many connections of yours, or of all callers, are busy: use fewer", code="crowded")
        self.go()
        self._crowd = crowd
        self._slow = None if head else self._standings.slow_known

    def go(self) -> None:
        """It counts no longer."""
        for crowd in (self._crowd, self._slow):
            if crowd is not None:
                crowd.leave(self)

    def dismiss(self) -> None:
        """Close it without waiting for anything.

        One that is closing already must not be touched (Python 3.11.2). One that is being set up finds that its
        client is gone: cut off at a bad moment, asyncio would leave its socket in the event loop.
        """
        if self.transport is not None and not self.transport.is_closing():
            self.transport.abort()
        elif self.arriving is not None:
            with contextlib.suppress(OSError):
                self.arriving.shutdown(socket.SHUT_RDWR)

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Have little of it wait in memory, in either direction; unless told otherwise, TLS keeps 750 KB of each."""
        super().connection_made(transport)
        if isinstance(transport, asyncio.Transport):
            transport.set_write_buffer_limits(UNTAKEN)
            if hasattr(transport, "set_read_buffer_limits"):
                transport.set_read_buffer_limits(LARGEST)

    @override
    def data_received(self, data: bytes) -> None:
        """Parse what came; its client waits while `LARGEST` of it cannot be answered, and a longer header is none."""
        in_body = self._body is not None and not self._body.is_eof()
        if self._whole and not self._messages:
            self._kept, self._whole = 0, False
        parsed = self._request_count
        super().data_received(data)
        if self._request_count > parsed:
            self._whole, self._body = True, self._messages[-1][1]
        if self._upgraded or in_body:  # these are bounded elsewhere
            return
        self._kept += len(data)
        if self._kept <= LARGEST:
            return
        if not self._messages and not self._whole:
            super().data_received(b"\0")  # which no header may have: refused as any that is none
        elif self._messages and not self._buffer_paused:
            self._pause_reading_for_buffer()

    @override
    def pause_writing(self) -> None:
        """It takes nothing for the moment."""
        super().pause_writing()
        if self._slow is not None:
            self._slow.enter(self, self.origin)

    @override
    def resume_writing(self) -> None:
        """It takes something again."""
        super().resume_writing()
        if self._slow is not None:
            self._slow.leave(self)

    @override
    def connection_lost(self, exc: BaseException | None) -> None:
        """Count it no longer, and tell whoever wants to know."""
        self.go()
        super().connection_lost(exc)
        if self.lost is not None:
            self.lost()

    @override
    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what never became a request; the connection is closed with it."""
        return self._answer_broken(request, status, exc)


class HttpServer(web.Server):
    """aiohttp's low-level server with our connections."""

    def __init__(self, answer: Respond, answer_broken: RespondToBroken) -> None:
        """`answer_broken` answers what never became a request, by the status that aiohttp has for it."""
        super().__init__(answer)
        self._answer_broken = answer_broken
        self._standings = Standings()

    def shortest_idle(self) -> float:
        """For how many seconds the connection has been idle, or answering, that has been so the shortest time."""
        last = max((one.idle_since for one in self.connections if isinstance(one, Connection)), default=float("-inf"))
        return self._loop.time() - last

    def census(self) -> dict[str, int]:
        """How many connections are open, by what is known of who is behind them."""
        standings = self._standings
        return {
            "stranger": len(standings.strangers),
            "known": len(standings.known),
            "head": len(standings.heads),
            "local": len(standings.local),
        }

    @override
    def __call__(self) -> Connection:
        """A protocol for a new connection."""
        return Connection(self, self._answer_broken, self._standings, self._loop)

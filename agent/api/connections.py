"""The connections that requests come on: how long they may be idle, and answers also to what is no request."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

from aiohttp import web
from typing_extensions import override

from agent.api.strangers import Strangers

KEEPALIVE = 75.0
"""Seconds that a connection may be idle, or take to send a request's header, before it is closed; see `strangers`."""

Respond = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
RespondToBroken = Callable[[web.BaseRequest, int, BaseException | None], web.StreamResponse]


class Connection(web.RequestHandler):
    """aiohttp's connection, answering what it cannot parse in the envelope too."""

    __slots__ = ("_answer_broken", "_strangers")

    def __init__(
        self, server: HttpServer, answer_broken: RespondToBroken, strangers: Strangers, loop: asyncio.AbstractEventLoop
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
        self._strangers = strangers

    @property
    def idle(self) -> bool:
        """Whether it is being waited for a request on it."""
        return self._waiter is not None and not self._waiter.done()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it until a request of its is let in; whoever may open the Unix socket is no stranger."""
        super().connection_made(transport)
        if transport.get_extra_info("socket").family != socket.AF_UNIX:
            self._strangers.met(self)

    @override
    def connection_lost(self, exc: BaseException | None) -> None:
        """Count it no longer."""
        self._strangers.forget(self)
        super().connection_lost(exc)

    def let_in(self) -> None:
        """A request on it was let in: from now on it may be idle for as long as others."""
        self._strangers.forget(self)

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
        self._strangers = Strangers()

    @override
    def __call__(self) -> web.RequestHandler:
        """A protocol for a new connection."""
        return Connection(self, self._answer_broken, self._strangers, self._loop)

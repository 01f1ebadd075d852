"""Access: every request passes this gate before its handler runs."""

from __future__ import annotations

from typing import Protocol

from aiohttp import web

from agent.api.call import Caller, Route


class Gate(Protocol):
    """Decides who calls and whether the route is open to them."""

    def admit(self, route: Route, request: web.BaseRequest) -> Caller:
        """The caller, proved; raises Unauthenticated, Denied or Unavailable. Never blocks."""
        ...

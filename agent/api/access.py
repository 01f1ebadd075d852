"""Access: every request passes this gate before its handler runs."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Protocol
from weakref import WeakKeyDictionary

from aiohttp import web
from typing_extensions import override

from agent.api.accepting import peer_uid
from agent.api.call import Access, Caller, Route
from agent.config import Live
from agent.errors import Denied, Unauthenticated
from agent.heads.members import Members
from agent.heads.tokens import TokenVerifier, check_permission
from agent.heads.trust import Certificate, Peer, Recognised, known_head, normalise
from agent.ports import Clock


class Gate(Protocol):
    """Decides who calls and whether the route is open to them."""

    def admit(self, route: Route, request: web.BaseRequest) -> Caller:
        """The caller, proved; raises Unauthenticated, Denied or Unavailable. Never blocks."""
        ...

    def met(self, request: web.BaseRequest) -> Caller | None:
        """What the kernel says of who calls, also of one who is not admitted; None once the connection is closed."""
        ...


@dataclass(slots=True)
class _Connection:
    """What stays the same as long as a connection lasts, and the last recognition of the head behind it."""

    caller: Caller
    peer: Peer | None = None
    """None on the Unix socket."""
    recognised: Recognised | None = None
    recognised_among: Members | None = None
    recognised_by: tuple[str, ...] = ()


class AccessGate(Gate):
    """The rules of access.

    The Unix socket opens every route; over TCP a token opens token routes and nothing else, and being a known head
    opens known-head and other-head routes and nothing else.

    `members` is asked on every such request and raises Unavailable while the database is away. It must return the
    same object as long as nothing changed: what is remembered of a connection is good for one such object.
    """

    def __init__(
        self,
        live: Live,
        members: Callable[[], Members],
        tokens: TokenVerifier,
        read_certificate: Callable[[bytes], Certificate | None],
        own_addresses: Callable[[], Collection[str]],
        clock: Clock,
    ) -> None:
        self._live = live
        self._members = members
        self._tokens = tokens
        self._read_certificate = read_certificate
        self._own_addresses = own_addresses
        self._clock = clock
        self._connections: WeakKeyDictionary[asyncio.BaseTransport, _Connection] = WeakKeyDictionary()

    @override
    def admit(self, route: Route, request: web.BaseRequest) -> Caller:
        """The caller, proved; raises Unauthenticated, Denied or Unavailable. Never blocks."""
        connection = self._connection(request)
        if connection is None:
            raise Denied("the connection is closed", code="closed")
        if connection.peer is None:
            return _over_unix_socket(route, connection.caller)
        match route.access:
            case Access.PUBLIC:
                return connection.caller
            case Access.TOKEN:
                return self._by_token(route, request, connection)
            case Access.KNOWN_HEAD:
                return self._as_known_head(request, connection, connection.peer)
            case Access.OTHER_HEAD:
                return _by_certificate(self._as_known_head(request, connection, connection.peer))
            case Access.LOCAL | Access.ROOT:
                raise Denied(
                    "this route is answered on the Unix socket of this head only: log in there and use cw-headctl",
                    code="local-only",
                )

    @override
    def met(self, request: web.BaseRequest) -> Caller | None:
        """What the kernel says of who calls; None once the connection is closed."""
        connection = self._connection(request)
        return connection.caller if connection is not None else None

    def _connection(self, request: web.BaseRequest) -> _Connection | None:
        transport = request.transport
        if transport is None:
            return None
        connection = self._connections.get(transport)
        if connection is None:
            connection = self._connections[transport] = self._meet(transport)
        return connection

    def _meet(self, transport: asyncio.BaseTransport) -> _Connection:
        sock = transport.get_extra_info("socket")
        if sock.family == socket.AF_UNIX:
            return _Connection(Caller(local=True, address="local", uid=peer_uid(sock)))
        address = transport.get_extra_info("peername")[0]
        tls = transport.get_extra_info("ssl_object")
        der = tls.getpeercert(binary_form=True) if tls is not None else None
        certificate = self._read_certificate(der) if der is not None else None
        peer = Peer(
            address=address,
            local_address=transport.get_extra_info("sockname")[0],
            certificate=certificate,
            unreadable=der is not None and certificate is None,
        )
        return _Connection(Caller(local=False, address=normalise(address) or address), peer)

    def _by_token(self, route: Route, request: web.BaseRequest, connection: _Connection) -> Caller:
        token = _bearer(request)
        claims = self._tokens.verify(token, self._members(), self._clock.now())
        check_permission(claims, route.permission)
        return replace(connection.caller, claims=claims)

    def _as_known_head(self, request: web.BaseRequest, connection: _Connection, peer: Peer) -> Caller:
        members, modes, now = self._members(), self._live.config.access.known_heads, self._clock.now()
        recognised = connection.recognised
        if (
            recognised is None
            or connection.recognised_among is not members
            or connection.recognised_by != modes
            or not recognised.holds(now)
        ):
            connection.recognised = None
            try:
                recognised = known_head(members, modes, peer, self._own_addresses(), now)
            except Denied as err:
                if "Authorization" in request.headers:
                    raise Denied(f"{err.reason} (a token does not open it)", code=err.code, data=err.data) from err
                raise
            connection.recognised = recognised
            connection.recognised_among, connection.recognised_by = members, modes
        return replace(connection.caller, head=recognised.head, known_by=recognised.mode)


def _by_certificate(caller: Caller) -> Caller:
    """An address will not do: every user of that head has it."""
    if caller.known_by != "certificate":
        raise Denied("this route is for a head that proves itself by its certificate", code="not-a-known-head")
    return caller


def _over_unix_socket(route: Route, caller: Caller) -> Caller:
    """The socket's mode and group have decided already; some routes want root on top, and some no people at all."""
    if route.access is Access.OTHER_HEAD:
        raise Denied("this route is for the agents of other heads, which say it of themselves alone", code="heads-only")
    if route.access is Access.ROOT and caller.uid != 0:
        raise Denied(f"this route is for root, and the caller's uid is {caller.uid}: use sudo", code="root-only")
    return caller


def _bearer(request: web.BaseRequest) -> str:
    given = request.headers.getall("Authorization", [])
    if not given:
        raise Unauthenticated(
            "this route needs a token: send Authorization: Bearer <token> (cw-headctl token makes one)"
        )
    scheme, _, token = given[0].partition(" ")
    if len(given) > 1 or scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("the Authorization header must be there once and read: Bearer <token>")
    return token.strip()

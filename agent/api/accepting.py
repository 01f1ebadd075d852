"""Taking connections from a listening socket: few at a time, and into the crowd before anything is spent on them."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import struct

import structlog

from agent.api.connections import Connection, HttpServer

log = structlog.get_logger()

AT_ONCE = 16
"""Connections that are taken before the event loop turns to other work: a flood of them must not hold up answers."""
HANDSHAKE = 10.0
"""Seconds that TLS may take to begin."""
GOODBYE = 2.0
"""Seconds that TLS may take to end."""
PAUSE = 1.0
"""Seconds in which none is taken after the system had no room for one more."""

_UCRED = struct.Struct("iII")
"""struct ucred of SO_PEERCRED: pid, uid, gid (unix(7))."""


class Entrance:
    """One listening socket. What it has begun ends with it, at `close`."""

    def __init__(self, listener: socket.socket, http: HttpServer, tls: ssl.SSLContext | None) -> None:
        """`tls` is None for a Unix socket."""
        self._listener = listener
        self._http = http
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._arriving: dict[asyncio.Task[None], Connection] = {}
        self._pause: asyncio.TimerHandle | None = None
        listener.settimeout(0)

    @property
    def arriving(self) -> int:
        """How many connections are being set up."""
        return len(self._arriving)

    def open(self) -> None:
        """Take what comes."""
        self._loop.add_reader(self._listener.fileno(), self._take)

    def pause(self) -> None:
        """Take nothing more, and leave what comes to the kernel's queue."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listener.fileno())

    async def close(self) -> None:
        """Take nothing more, and end what is only being set up."""
        self.pause()
        for connection in self._arriving.values():
            connection.dismiss()
        await asyncio.gather(*self._arriving)
        self._listener.close()

    def _take(self) -> None:
        for _ in range(AT_ONCE):
            try:
                sock, address = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as err:
                log.error("Connections cannot be taken", reason=err.strerror, todo="see LimitNOFILE of the unit")
                self.pause()
                self._pause = self._loop.call_later(PAUSE, self.open)
                return
            connection = self._http()
            if connection.come(_origin(sock, address), local=self._tls is None):
                sock.settimeout(0)
                connection.arriving = sock
                task = self._loop.create_task(self._set_up(sock, connection))
                self._arriving[task] = connection
                task.add_done_callback(self._arriving.pop)
            else:
                sock.close()

    async def _set_up(self, sock: socket.socket, connection: Connection) -> None:
        """Have it be a connection of the server's; a client that is gone, or does not begin TLS in time, is no news."""
        limits = (HANDSHAKE, GOODBYE) if self._tls is not None else (None, None)
        try:
            await self._loop.connect_accepted_socket(
                lambda: connection,
                sock,
                ssl=self._tls,
                ssl_handshake_timeout=limits[0],
                ssl_shutdown_timeout=limits[1],
            )
        except OSError as err:
            log.debug("Connection came to nothing", reason=str(err))
            connection.go()
            err.__traceback__ = None  # its frames hold it: in a flood that would be memory until a collection comes
        finally:
            connection.arriving = None


def _origin(sock: socket.socket, address: object) -> str:
    """Whom a connection counts for: an address or, on the Unix socket, a user."""
    if isinstance(address, tuple):
        return origin(str(address[0]))
    return f"uid {peer_uid(sock)}"


def origin(address: str) -> str:
    """Whom an address counts for: of IPv6 its network of 64 bits, all of whose addresses one machine can have."""
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return f"{int(parsed) >> 64:x}::/64%{parsed.scope_id or ''}"


def peer_uid(sock: socket.socket) -> int:
    """The uid of the process at the other end of a Unix socket, as it was when it connected."""
    _, uid, _ = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return int(uid)

"""The sockets: passed by systemd or bound by ourselves; and the lame-duck stop that drops no request."""

from __future__ import annotations

import asyncio
import contextlib
import grp
import os
import socket
import ssl
from asyncio.sslproto import SSLProtocol
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import structlog
import systemd.daemon

from agent.api.accepting import Entrance
from agent.api.connections import HttpServer
from agent.api.server import Api
from agent.config import Config
from agent.errors import Unavailable

log = structlog.get_logger()

# asyncio gives each TLS connection a buffer, of 256 KiB unless told otherwise: too much for a thousand idle strangers,
# and for the 28 links of one head among fifteen. This is what a record of TLS holds at most: no read gives more.
SSLProtocol.max_size = 16 * 1024

ADMIN_GROUP = "clusterware-admin"
BACKLOG = 4096
IDLE = 3.0
"""Seconds that a connection must have been idle, or new, to be closed at a stop: a busy client takes its time."""
_LOOK = 0.02
"""Seconds between two looks whether any has been for less."""
IN_FLIGHT = 20.0
"""Seconds that requests in flight are waited for at a stop; well below the unit's TimeoutStopSec."""


def sockets(config: Config) -> list[socket.socket]:
    """The listening sockets; those that systemd passes win. Raises Unavailable when one cannot be had."""
    passed = [socket.socket(fileno=fd) for fd in systemd.daemon.listen_fds()]
    if not passed:
        return [*(_tcp(address) for address in config.api.listen), _unix(config.api.socket)]
    have = {_name(s) for s in passed}
    want = {*config.api.listen, str(config.api.socket)}
    if have != want:
        log.warning(
            "Sockets from systemd are not those of the configuration",
            sockets=sorted(have),
            configured=sorted(want),
            todo="run `cw-headctl config apply`, then restart clusterware-head-agent.socket",
        )
    return passed


def _name(sock: socket.socket) -> str:
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return str(name)
    return f"[{name[0]}]:{name[1]}" if sock.family == socket.AF_INET6 else f"{name[0]}:{name[1]}"


def _tcp(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    six = host.startswith("[")
    sock = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if six:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind((host.strip("[]"), int(port)))
        sock.listen(BACKLOG)
    except OSError as err:
        sock.close()
        raise Unavailable(f"cannot listen on {address}: {err.strerror}: is another agent running?") from err
    return sock


def _unix(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.is_socket():
            with contextlib.suppress(ConnectionRefusedError, FileNotFoundError):
                sock.connect(str(path))
                raise OSError(0, "somebody else answers on it", str(path))
            path.unlink(missing_ok=True)
            sock.close()
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        mask = os.umask(0o117)
        try:
            sock.bind(str(path))
        finally:
            os.umask(mask)
        with contextlib.suppress(KeyError, PermissionError):
            os.chown(path, -1, grp.getgrnam(ADMIN_GROUP).gr_gid)
        sock.listen(BACKLOG)
    except OSError as err:
        sock.close()
        raise Unavailable(f"cannot listen on {path}: {err.strerror}") from err
    return sock


@contextlib.asynccontextmanager
async def serving(
    api: Api,
    listeners: Sequence[socket.socket],
    tls: ssl.SSLContext | None,
    drain: Callable[[], float],
    in_flight: float = IN_FLIGHT,
) -> AsyncIterator[None]:
    """Answer on these sockets; on the way out, stop as a lame duck.

    Closing at once would drop requests: aiohttp closes what has connected and not yet asked, asyncio loses what
    it has accepted and not yet set up. So: go on accepting while every answer says `Connection: close`; then stop
    reading the listeners without closing them, so that the kernel queues new connections for our successor;
    then wait for the next request of those that have hardly been idle, and for what is in flight, for `in_flight`
    seconds. Only what has been idle is closed under its client's hands. `tls` may be None when every socket is a Unix
    socket.
    """
    http = HttpServer(api.answer, api.answer_broken)
    api.traffic.connections = http.census
    entrances = [Entrance(sock, http, None if sock.family == socket.AF_UNIX else tls) for sock in listeners]
    for entrance in entrances:
        entrance.open()
    try:
        yield
    finally:
        api.stop()
        await asyncio.sleep(drain())
        for entrance in entrances:
            entrance.pause()
        await _all_idle(http, entrances, min(IDLE, 2 * drain()))
        http.pre_shutdown()
        await http.shutdown(in_flight / 2)  # aiohttp waits twice: once more after it has ended what comes of the body
        for entrance in entrances:
            await entrance.close()


async def _all_idle(http: HttpServer, entrances: Sequence[Entrance], seconds: float) -> None:
    """Wait until every connection is gone, as it is after an answer, or has been idle for so many seconds.

    Those that are being set up may take as long again, on a machine that is busy with many of them.
    """
    # By no timeout: where a bug ends the agent this task is cancelled already, and Python 3.11.2's then only cancels.
    now = asyncio.get_running_loop().time
    ends = now() + 2 * seconds
    while now() < ends and (http.shortest_idle() < seconds or any(e.arriving for e in entrances)):  # noqa: ASYNC110
        await asyncio.sleep(_LOOK)

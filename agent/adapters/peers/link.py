"""The heartbeat's WebSocket to one head: frames go out or are dropped, and never wait."""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NoReturn, TypeVar

import aiohttp

from agent.adapters.peers.exchange import CONNECT, address, exchange, outstanding, session
from agent.adapters.peers.failures import FAILURES, why
from agent.errors import Denied, Unavailable

T = TypeVar("T")

PATH = "/head/heartbeat"
KNOCK = 0.2
"""Seconds that the first packet to a head is waited for to be answered, by its kernel: TCP itself would send a lost one
again only after a whole second, so a new attempt is sooner (`tests/simulator` has the figures)."""
BACKLOG = 4096
"""Bytes not yet acknowledged over which a frame is dropped: about ten beats, less than any socket's buffer."""
_RTT, _TCP_INFO = 68, 72
"""Where tcp_info (tcp.h) has the smoothed round trip, microseconds in 32 bits, and where that ends."""
_SYN_SENT = 2
"""TCP_SYN_SENT of tcp_states.h: the first byte of tcp_info."""
_CLOSING = 0.2
"""Seconds that the other end has to answer our goodbye."""


class Link:
    """An open link to one head."""

    def __init__(self, uid: str, websocket: aiohttp.ClientWebSocketResponse) -> None:
        self._uid = uid
        self._websocket = websocket
        self._socket: socket.socket | None = websocket.get_extra_info("socket")

    async def send(self, frame: bytes) -> None:
        """Send a frame, or drop it while former ones have not arrived; raises Unavailable once the link is broken."""
        try:
            if self._socket is None or self._socket.fileno() < 0:
                raise ConnectionResetError
            if outstanding(self._socket) <= BACKLOG:
                await self._websocket.send_bytes(frame)
        except FAILURES as err:
            raise _broken(self._uid, err) from err

    @property
    def round_trip(self) -> float | None:
        """Seconds from a frame to its acknowledgement by the other kernel, smoothed by ours; None on a broken link.

        Each beat is a measurement that costs nothing: no ping has to be sent, and none waits for the other's loop.
        """
        try:
            if self._socket is None:
                return None
            told = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO)
        except OSError:
            return None
        return int.from_bytes(told[_RTT:_TCP_INFO], sys.byteorder) / 1e6 or None


@asynccontextmanager
async def open_link(context: ssl.SSLContext, uid: str, url: str, silence: float) -> AsyncIterator[Link]:
    """Connect; gives the link. Raises Unavailable, also once the link breaks, and Denied when refused.

    A link breaks when the other end closes it, or acknowledges nothing for `silence` seconds: then the block that
    uses it is cancelled.
    """
    async with _opened(context, uid, url, silence) as websocket:
        watch = asyncio.create_task(_watch(uid, websocket))
        try:
            async with _until_broken(watch):
                yield Link(uid, websocket)
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)


@asynccontextmanager
async def _until_broken(watch: asyncio.Task[NoReturn]) -> AsyncIterator[None]:
    """Cancel the block once `watch` ends, and raise what it ended with.

    A timeout that is due just then, and not a TaskGroup: where the block ends of itself at that moment, Python 3.11's
    leaves the task half cancelled, and where somebody else cancels it then, that is lost (python/cpython#116720).
    """
    life, inside = asyncio.timeout(None), True

    def end(_watch: object) -> None:
        if inside:
            life.reschedule(asyncio.get_running_loop().time())

    try:
        async with life:
            watch.add_done_callback(end)
            try:
                yield
            finally:
                inside = False
    except TimeoutError:
        if life.expired():
            watch.result()
        raise


async def _watch(uid: str, websocket: aiohttp.ClientWebSocketResponse) -> NoReturn:
    """Raises Unavailable once the other end closes the link; it has nothing else to say over it."""
    message = await websocket.receive()
    raise _broken(uid, message.data if message.type is aiohttp.WSMsgType.ERROR else ConnectionResetError())


def _broken(uid: str, err: BaseException) -> Unavailable:
    return Unavailable(f"the link to head {uid} broke: {why(err)}", code="unreachable")


@asynccontextmanager
async def _opened(
    context: ssl.SSLContext, uid: str, url: str, silence: float
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    knocks = _Knocks()
    async with session(context, silence, knocks.begin) as client:
        try:
            websocket = await knocks.until_answered(
                lambda: client.ws_connect(
                    address(url, PATH),
                    compress=0,
                    autoclose=False,
                    timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSING),
                    max_msg_size=1024,
                )
            )
        except aiohttp.WSServerHandshakeError as err:
            raise await _refusal(client, uid, url, err.status) from err
        except FAILURES as err:
            raise Unavailable(f"head {uid} cannot be reached at {url}: {why(err)}", code="unreachable") from err
        try:
            yield websocket
        finally:
            await websocket.close()


class _Knocks:
    """Begins an attempt to connect anew as soon as it is plain that its first packet, or the answer, was lost."""

    def __init__(self) -> None:
        self._limit: asyncio.Timeout | None = None
        self._sockets: list[socket.socket] = []
        self._lost = False

    async def until_answered(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Try for `CONNECT` seconds; raises what the attempt raises, and ConnectionTimeoutError without any answer."""
        now = asyncio.get_running_loop().time
        until = now() + CONNECT
        while True:
            self._sockets, self._lost = [], False
            try:
                async with asyncio.timeout(2 * CONNECT) as self._limit:
                    return await attempt()
            except TimeoutError as err:
                if not self._lost:
                    raise
                if now() >= until:
                    raise aiohttp.ConnectionTimeoutError from err
            finally:
                self._limit = None

    def begin(self, sock: socket.socket) -> None:
        """Look at this socket once its time is over; a name may have several addresses, tried one after the other."""
        self._sockets.append(sock)
        asyncio.get_running_loop().call_later(KNOCK, self._look, sock)

    def _look(self, sock: socket.socket) -> None:
        last = self._sockets and self._sockets[-1] is sock
        if last and self._limit is not None and not any(_is_answered(one) for one in self._sockets):
            self._lost = True
            self._limit.reschedule(asyncio.get_running_loop().time())


def _is_answered(sock: socket.socket) -> bool:
    try:
        return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != _SYN_SENT
    except OSError:
        return False  # closed since: refused, or no way there


async def _refusal(client: aiohttp.ClientSession, uid: str, url: str, status: int) -> Denied | Unavailable:
    """What that head has against us; a failed upgrade's body cannot be read, so it is asked once more."""
    answer = await exchange(client, f"head {uid}", url, "GET", PATH, None, timeout=2 * CONNECT, headers={})
    if answer.status == 403:
        return Denied(
            f"head {uid} refuses this head: {answer.reason}", code=answer.code or "unreachable", data=answer.data
        )
    return Unavailable(f"head {uid} takes no heartbeats: {answer.reason}", code="unreachable")

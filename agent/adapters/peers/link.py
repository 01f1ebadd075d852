"""The heartbeat's WebSocket to one head: frames go out or are dropped, and never wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp

from agent.adapters.peers.exchange import CONNECT, address, exchange, outstanding
from agent.adapters.peers.failures import FAILURES, why
from agent.errors import Denied, Unavailable

PATH = "/head/heartbeat"
BACKLOG = 4096
"""Bytes not yet acknowledged over which a frame is dropped: about ten beats, less than any socket's buffer."""
_CLOSING = 0.2
"""Seconds that the other end has to answer our goodbye."""


@asynccontextmanager
async def open_link(
    client: aiohttp.ClientSession, uid: str, url: str
) -> AsyncIterator[Callable[[bytes], Awaitable[None]]]:
    """Connect; gives what sends a frame. Raises Unavailable, also from then on, and Denied when we are refused."""
    try:
        async with asyncio.timeout(2 * CONNECT):
            websocket = await client.ws_connect(
                address(url, PATH),
                compress=0,
                autoclose=False,
                timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSING),
                max_msg_size=1024,
            )
    except aiohttp.WSServerHandshakeError as err:
        raise await _refusal(client, uid, url, err.status) from err
    except FAILURES as err:
        raise Unavailable(f"head {uid} cannot be reached at {url}: {why(err)}", code="unreachable") from err
    sock = websocket.get_extra_info("socket")

    async def send(frame: bytes) -> None:
        try:
            if websocket.closed or sock is None:
                raise ConnectionResetError
            if outstanding(sock) <= BACKLOG:
                await websocket.send_bytes(frame)
        except FAILURES as err:
            raise Unavailable(f"the link to head {uid} broke: {why(err)}", code="unreachable") from err

    try:
        yield send
    finally:
        await websocket.close()


async def _refusal(client: aiohttp.ClientSession, uid: str, url: str, status: int) -> Denied | Unavailable:
    """What that head has against us; a failed upgrade's body cannot be read, so it is asked once more."""
    answer = await exchange(client, f"head {uid}", url, "GET", PATH, None, timeout=2 * CONNECT, headers={})
    reason = str(answer.envelope.get("reason", f"it answers {status}"))
    code = str(answer.envelope.get("code", "unreachable"))
    if answer.status == 403:
        return Denied(f"head {uid} refuses this head: {reason}", code=code, data=answer.data)
    return Unavailable(f"head {uid} takes no heartbeats: {reason}", code="unreachable")

"""The heartbeat links that other heads have opened to this one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic

import structlog
from aiohttp import web

from agent.config import Live
from agent.errors import AgentError, Denied, Invalid, Malformed, Unavailable
from agent.heads.beat import PROTOCOL, Beat, decode
from agent.heads.members import Members
from agent.heads.outage import Outage
from agent.log import unasked

log = structlog.get_logger()

HEARTBEAT = "/head/heartbeat"
LARGEST = 64 * 1024
"""Bytes of the largest frame; a beat among fifteen heads has some hundred."""
IDLE = 3
"""Timeouts without a beat after which a link is closed."""
_GOODBYE = 0.5
_RETURNS = 10.0
"""Seconds within which a head whose link was refused asks again, if it still wants one."""
_NO_BEATS = "what it sends are no beats"
"""One reason for all that such a head may send: it is told of once."""
_REFUSED = 256
"""So many addresses are remembered whose links were refused."""

Admit = Callable[[], str | None]
"""The head that is at the other end, as the gate says now; raises what the gate raises."""


class _Link:
    """One head's link; `admit` says which head is at the other end, as long as it may be there."""

    def __init__(self, head: str, transport: asyncio.Transport, admit: Admit) -> None:
        self.head = head
        self._transport = transport
        self._admit = admit

    def check(self) -> None:
        """Raises Denied once that head is not known any more; while nobody can tell, it is."""
        try:
            if self._admit() != self.head:
                raise Denied("the connection is another head's now")
        except Unavailable:
            return

    def cut(self) -> None:
        """Close it without waiting for anything; one that is closing already must not be touched (Python 3.11.2)."""
        if not self._transport.is_closing():
            self._transport.abort()


class Links:
    """One link per head, the newest. Each is judged anew with every beat, and whenever the members change."""

    def __init__(self, live: Live, heard: Callable[[Beat], None]) -> None:
        self._live = live
        self._heard = heard
        self._links: dict[str, _Link] = {}
        self._refused: dict[str, tuple[Outage, float]] = {}
        """By address, and when it asked last; who asked last is last."""
        self._newer: dict[str, str] = {}
        """The heads that have a newer protocol, and in which run of their agents."""
        self._closed = False

    def __len__(self) -> int:
        return len(self._links)

    async def serve(self, request: web.BaseRequest, admit: Admit) -> web.StreamResponse:
        """Take the beats of the head that calls until the link ends; raises Invalid, Malformed, Unavailable."""
        if self._closed:
            raise Unavailable("this agent is stopping", code="stopping")
        head = admit()
        if head is None:
            raise Invalid("heartbeats come from another head over its certificate, and from nobody else")
        websocket = web.WebSocketResponse(
            compress=False,
            max_msg_size=LARGEST,
            receive_timeout=IDLE * self._live.config.heartbeat.timeout,
            timeout=_GOODBYE,
        )
        if request.transport is None or not websocket.can_prepare(request):
            raise Malformed("this path is a WebSocket of heartbeats: ask for the upgrade", code="not-a-websocket")
        try:
            await websocket.prepare(request)
        except ConnectionError as err:
            raise Unavailable("the other head was gone before the link was open") from err
        link = _Link(head, request.transport, admit)
        if (former := self._links.pop(link.head, None)) is not None:
            former.cut()
        self._links[link.head] = link
        try:
            await self._receive(websocket, link)
        except TimeoutError:
            log.debug("Heartbeat link closed", peer=link.head, reason="no beat came for long")
        except Denied as err:  # it is not known any more, or not as it was: if it may, it links again
            log.debug("Heartbeat link closed", peer=link.head, reason=err.reason)
        except AgentError as err:
            if self.worth_telling(link.head, _NO_BEATS):
                log.warning("Head sends no heartbeats that can be taken", peer=link.head, reason=err.reason)
            else:
                log.debug("Heartbeat link closed", peer=link.head, reason=err.reason)
        finally:
            if self._links.get(link.head) is link:
                del self._links[link.head]
            link.cut()
        return websocket

    def recheck(self, _members: Members) -> None:
        """Close the links of heads that are not known any more; called when the members have changed."""
        for link in list(self._links.values()):
            try:
                link.check()
            except Denied as err:
                log.debug("Heartbeat link closed", peer=link.head, reason=err.reason)
                link.cut()

    def worth_telling(self, address: str | None, reason: str) -> bool:
        """Whether people should hear that a link was refused: heads that join or restart are, until all know of it.

        `address`: who asked for it; the head, for a link that was open.
        """
        now = monotonic()
        outage, last = self._refused.pop(address or "", (Outage(now), now))
        if now - last > _RETURNS:
            outage = Outage(now)
        self._refused[address or ""] = outage, now
        if len(self._refused) > _REFUSED:
            del self._refused[next(iter(self._refused))]
        return outage.worth_telling(reason, now, self._live.config.heartbeat.timeout)

    def close(self) -> None:
        """Close all and take no more: this agent stops."""
        self._closed = True
        for link in list(self._links.values()):
            link.cut()

    def _tell_newer(self, beat: Beat) -> None:
        """Say once of each run of a head that its agent has a protocol of which this one knows the core alone."""
        if beat.protocol <= PROTOCOL or self._newer.get(beat.head) == beat.boot:
            return
        self._newer[beat.head] = beat.boot
        log.warning(
            "Head has a newer protocol",
            head_uid=beat.head,
            version=beat.version,
            protocol=beat.protocol,
            own_protocol=PROTOCOL,
            todo="it is heard, and nothing that it says of other heads is taken: upgrade this head's agent",
        )

    async def _receive(self, websocket: web.WebSocketResponse, link: _Link) -> None:
        while True:
            message = await websocket.receive()
            if message.type not in (web.WSMsgType.BINARY, web.WSMsgType.TEXT):
                return
            beat = decode(message.data)
            if beat.head != link.head:
                raise Malformed(f"it sent the beat of head {beat.head[:32] if beat.head.isalnum() else '?'}")
            link.check()
            unasked(self._tell_newer, beat)
            self._heard(beat)

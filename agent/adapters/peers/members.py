"""`Peers` over HTTPS: the connections to each member, good as long as its record and our certificate stay the same."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Self

from typing_extensions import override

from agent.adapters.identity.checks import PeerCertificate
from agent.adapters.peers.exchange import exchange, session
from agent.adapters.peers.following import follow
from agent.adapters.peers.link import Link, open_link
from agent.adapters.peers.tls import member_context
from agent.config import Live
from agent.errors import NotFound, Unavailable
from agent.heads.identity import Identity
from agent.heads.members import Members
from agent.model import Head
from agent.ports import CHANGED, SMALL, Clock, PeerAnswer, StreamingPeers

SILENCE = 1.3
"""Heartbeat intervals without an acknowledgement that end a connection: connecting anew is then sooner than TCP's own
next try (`tests/simulator` has the figures)."""


class _Line:
    """The connections to one head as its record and this head's certificate are now."""

    def __init__(self, uid: str, record: Head, identity: Identity, context: ssl.SSLContext, silence: float) -> None:
        self.uid = uid
        self.record = record
        self.identity = identity
        self.context = context
        self.silence = silence
        self.client = session(context, silence)
        self.url = record.url or ""
        self.users = 0
        self.retired = False

    async def retire(self) -> None:
        """Have no new use; questions under way may end. Links have connections of their own.

        Only then is the client closed: Python 3.11.2 cannot abort a TLS connection that somebody else is closing.
        """
        self.retired = True
        if not self.users:
            await self.client.close()


class HttpPeers(StreamingPeers):
    """The members' agents. A connection is kept for the next question, and never outlives the trust it began with."""

    def __init__(
        self, live: Live, members: Callable[[], Members], identity: Callable[[], Identity], clock: Clock
    ) -> None:
        self._live = live
        self._members = members
        self._identity = identity
        self._clock = clock
        self._lines: dict[str, _Line] = {}
        self._links: dict[str, Link] = {}
        self._ends: dict[str, datetime] = {}
        self._opening = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def open(
        cls, live: Live, members: Callable[[], Members], identity: Callable[[], Identity], clock: Clock
    ) -> AsyncIterator[Self]:
        """The peers; their connections are closed at the end."""
        peers = cls(live, members, identity, clock)
        try:
            yield peers
        finally:
            for line in peers._lines.values():
                await line.client.close()

    @override
    async def ask(
        self,
        uid: str,
        method: str,
        path: str,
        body: Any = None,
        *,
        timeout: float = 10.0,
        headers: Mapping[str, str] | None = None,
        largest: int = SMALL,
    ) -> PeerAnswer:
        """Ask one head's agent; raises Unavailable (`unreachable`) or NotFound."""
        async with self._line(uid) as line:
            return await exchange(
                line.client,
                f"head {uid}",
                line.url,
                method,
                path,
                body,
                timeout=timeout,
                headers=headers or {},
                largest=largest,
            )

    @override
    @asynccontextmanager
    async def stream(
        self, uid: str, path: str, headers: Mapping[str, str]
    ) -> AsyncIterator[PeerAnswer | AsyncIterator[bytes]]:
        """Follow what goes on and on; raises Unavailable or NotFound."""

        async def trusted(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
            async for part in parts:
                if not self._holds(line):
                    raise Unavailable(f"the stream of head {uid} rests on what has changed since", code=CHANGED)
                yield part

        async with self._line(uid) as line, follow(line.client, f"head {uid}", line.url, path, headers) as given:
            yield given if isinstance(given, PeerAnswer) else trusted(given)

    @override
    @asynccontextmanager
    async def link(self, uid: str) -> AsyncIterator[Callable[[bytes], Awaitable[None]]]:
        """Open the heartbeat's WebSocket; raises Unavailable, NotFound, and Denied when that head refuses this one."""
        async with self._opening:
            line = await self._current(uid)
        async with open_link(line.context, uid, line.url, line.silence) as link:

            async def send(frame: bytes) -> None:
                if not self._holds(line):
                    raise Unavailable(f"the link to head {uid} rests on what has changed since", code=CHANGED)
                await link.send(frame)

            self._links[uid] = link
            try:
                yield send
            finally:
                if self._links.get(uid) is link:
                    del self._links[uid]

    def round_trips(self) -> dict[str, float]:
        """Seconds to each head to which a link is open and there is a figure yet; see `Link`."""
        found = {uid: link.round_trip for uid, link in self._links.items()}
        return {uid: seconds for uid, seconds in found.items() if seconds is not None}

    def certificate_ends(self) -> dict[str, datetime]:
        """When the certificates end that other heads showed last, each in the newest connection to it."""
        return {uid: ends for uid, ends in self._ends.items() if uid in self._lines}

    def _holds(self, line: _Line) -> bool:
        """Whether trust is as it was when the line was opened; what cannot be known now has not changed."""
        try:
            return self._identity() == line.identity and self._members().heads.get(line.uid) == line.record
        except Unavailable:
            return True

    @asynccontextmanager
    async def _line(self, uid: str) -> AsyncIterator[_Line]:
        async with self._opening:
            line = await self._current(uid)
            line.users += 1
        try:
            yield line
        finally:
            line.users -= 1
            if line.retired and not line.users:
                await line.client.close()

    async def _current(self, uid: str) -> _Line:
        """The line to a head, opened anew if need be; those that hold no longer are given up on this occasion."""
        for line in list(self._lines.values()):
            if not self._holds(line):
                del self._lines[line.uid]
                await line.retire()
        members = self._members()
        record = members.heads.get(uid)
        if record is None or uid == members.self_uid:
            raise NotFound(f"no other head of this cluster has the uid {uid[:40]!r}")
        if uid in self._lines:
            return self._lines[uid]
        if why := _unusable(record):
            raise Unavailable(f"head {uid} cannot be reached: {why}", code="unreachable")
        identity = self._identity()

        def proved(shown: PeerCertificate) -> None:
            self._ends[uid] = shown.ends

        context = await asyncio.to_thread(member_context, identity, uid, record, self._clock.now, proved)
        silence = max(1.0, SILENCE * self._live.config.heartbeat.interval)
        line = self._lines[uid] = _Line(uid, record, identity, context, silence)
        return line


def _unusable(record: Head) -> str | None:
    if not record.url:
        return "its record has no url"
    if not record.url.startswith("https://"):
        return "the url in its record does not begin with https://"
    if not record.ca_pem:
        return "its record has no ca_pem, so nothing would prove that it is that head which answers"
    return None

"""The other heads' agents in memory: scripted answers, functions, or an agent's own server on a Unix socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import msgspec

from agent.errors import NotFound, Unavailable
from agent.ports import SMALL, PeerAnswer
from tests.support.described import checking

Responder = Callable[["Asked"], Awaitable[PeerAnswer]]


class Asked(NamedTuple):
    """One question, as it would have been sent."""

    uid: str
    method: str
    path: str
    body: Any = None
    headers: Mapping[str, str] = {}


@dataclass
class MemoryPeers:
    """`Peers`: `heads` answer, those in `away` cannot be reached, of whom nothing is known are no members.

    `asked` are the questions so far, `frames` what was sent over each head's link.
    """

    heads: dict[str, Responder] = field(default_factory=dict)
    away: dict[str, str] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    frames: dict[str, list[bytes]] = field(default_factory=dict)

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
        """Ask one head; what is sent and what comes back goes through JSON."""
        self.asked.append(Asked(uid, method, path, _through_json(body), dict(headers or {})))
        self._reachable(uid)
        answer = await self.heads[uid](self.asked[-1])
        self._reachable(uid)
        return PeerAnswer(answer.status, _through_json(answer.envelope), answer.headers)

    @asynccontextmanager
    async def link(self, uid: str) -> AsyncIterator[Callable[[bytes], Awaitable[None]]]:
        """Keeps the frames in `frames`; broken while the head is away."""
        self._reachable(uid)
        frames = self.frames.setdefault(uid, [])

        async def send(frame: bytes) -> None:
            self._reachable(uid)
            frames.append(frame)

        yield send

    def _reachable(self, uid: str) -> None:
        if uid in self.away:
            raise Unavailable(f"head {uid} cannot be reached: {self.away[uid]}", code="unreachable")
        if uid not in self.heads:
            raise NotFound(f"no head has the uid {uid!r}")


def answers(data: Any = None, status: int = 200, **beside: Any) -> Responder:
    """A head that gives one and the same answer to everything."""

    async def respond(_asked: Asked) -> PeerAnswer:
        return answered(data, status, **beside)

    return respond


def answered(data: Any = None, status: int = 200, **beside: Any) -> PeerAnswer:
    """An answer in its envelope; a failure needs `reason` and `code` beside."""
    return PeerAnswer(status, {"success": status < 400, "data": data, **beside})


def at_socket(path: Path) -> Responder:
    """A head whose routes are served on a Unix socket, as `tests.support.http.served` does."""

    async def respond(asked: Asked) -> PeerAnswer:
        connector = aiohttp.UnixConnector(str(path))
        async with (
            aiohttp.ClientSession("http://head", connector=connector, trace_configs=[checking()]) as session,
            session.request(asked.method, asked.path, json=asked.body, headers=dict(asked.headers)) as answer,
        ):
            return PeerAnswer(answer.status, await answer.json(), dict(answer.headers))

    return respond


def _through_json(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))

"""`Introductions` over HTTPS: a first look at an agent of which nothing is believed, then questions by one given CA."""

from __future__ import annotations

from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from typing_extensions import override

from agent.adapters.peers.exchange import exchange, session
from agent.adapters.peers.tls import introduced_context, unverified_context
from agent.errors import Unavailable
from agent.ports import Clock, Introductions, PeerAnswer

LOOK = 10.0
"""Seconds for the first look."""
ASK = 60.0
"""Seconds for a question: the other head may have its engine make room meanwhile."""
_SILENCE = 5.0
_PLAIN = 2**20
"""Bytes that a stranger may make us read."""


class HttpIntroductions(Introductions):
    """Each question has a connection of its own: this happens once in the life of a head."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    @override
    async def look(self, url: str) -> tuple[PeerAnswer, datetime | None]:
        """GET /head/peerurl there, unverified, and that head's time; raises Unavailable."""
        async with session(unverified_context(), _SILENCE) as client:
            answer = await exchange(
                client, "the agent", url, "GET", "/head/peerurl", None, timeout=LOOK, headers={}, largest=_PLAIN
            )
        data = answer.data
        if answer.status == 200 and not (isinstance(data, dict) and {"uid", "cluster", "ca_pem"} <= data.keys()):
            raise Unavailable(
                f"what answers at {url} is no head agent: it does not tell what a head must know to join",
                code="unreachable",
            )
        return answer, _date(answer.headers.get("Date"))

    @override
    async def ask(self, url: str, ca_pem: str, token: str | None, method: str, path: str, body: Any) -> PeerAnswer:
        """Ask; the token is sent only to a server whose certificate this CA issued. Raises Unavailable."""
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        async with session(introduced_context(ca_pem, self._clock.now), _SILENCE) as client:
            return await exchange(
                client, "the agent", url, method, path, body, timeout=ASK, headers=headers, largest=16 * _PLAIN
            )


def _date(text: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None

"""The other heads' agents: asked, and told that this head lives."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

SMALL, LARGE = 4 * 2**20, 64 * 2**20
"""Bytes of the largest answer that is read: to nearly all questions, and to those for lists of files."""
LONGEST_REASON, LONGEST_CODE = 500, 40
"""Characters that are taken of what another head says in a failure."""


@dataclass(frozen=True, slots=True)
class PeerAnswer:
    """What another head's agent answered: the HTTP status, the envelope, and the headers that matter (`Date`, ...)."""

    status: int
    envelope: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def data(self) -> Any:
        """The envelope's data."""
        return self.envelope.get("data")

    @property
    def reason(self) -> str:
        """What it says it failed for, fit for a journal: the other head may say anything, at any length."""
        return _printable(self.envelope.get("reason"), LONGEST_REASON) or f"it answered {self.status}"

    @property
    def code(self) -> str:
        """The stable word of its failure, fit for a journal; empty when it gave none."""
        return _printable(self.envelope.get("code"), LONGEST_CODE)


def _printable(value: object, longest: int) -> str:
    text = value[:longest] if isinstance(value, str) else ""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


class Peers(Protocol):
    """The members, each proved before anything is sent to be the head that its record describes.

    Raises Unavailable with the code `unreachable` when a head has no URL, does not answer in time, or proves to be
    another one; NotFound for a uid that is no member.
    """

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
        """Ask one head's agent; `path` is without prefix, may carry a query. An answer of any status is an answer.

        One of more than `largest` bytes counts as none.
        """
        ...

    def link(self, uid: str) -> AbstractAsyncContextManager[Callable[[bytes], Awaitable[None]]]:
        """Open the heartbeat's WebSocket to one head; raises Denied, with that head's code, when it refuses this one.

        Gives what sends a frame: it never waits for the other head, drops the frame while former ones have not
        arrived, and raises Unavailable once the link is broken: with the code `CHANGED` when it must be opened anew.
        A link that breaks between two frames ends the block that uses it, with Unavailable.
        """
        ...


class StreamingPeers(Peers, Protocol):
    """The members, whose streams can be followed too."""

    def stream(
        self, uid: str, path: str, headers: Mapping[str, str]
    ) -> AbstractAsyncContextManager[PeerAnswer | AsyncIterator[bytes]]:
        """GET what goes on and on: the parts as they come, or an answer where that head has none such.

        The parts end with the stream; they raise Unavailable when the connection breaks, is silent for long, or
        rests on what has changed since (`CHANGED`).
        """
        ...


CHANGED = "changed"
"""Code of a link that broke because that head's record or this head's certificate is another now: open it anew."""


class Introductions(Protocol):
    """An agent that is not trusted yet: what a head that joins asks before it has a record of anybody.

    Raises Unavailable, saying which of these it was: not reachable, no TLS, not an agent.
    """

    async def look(self, url: str) -> tuple[PeerAnswer, datetime | None]:
        """GET /head/peerurl there, believing nothing of it yet; and the time on that head's clock (its Date header)."""
        ...

    async def ask(self, url: str, ca_pem: str, token: str | None, method: str, path: str, body: Any) -> PeerAnswer:
        """Ask, with a token where the question needs one, trusting only certificates that this CA issued."""
        ...

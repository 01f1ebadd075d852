"""The head of a cluster that is to let this one in, talked to before either knows the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from agent.errors import AgentError, Conflict, Denied, Failed, Invalid, TimedOut, Unavailable
from agent.heads.introduction import JoinRequest, PeerUrl, Welcome, check_clocks, proven_ca, read_hash
from agent.ports import Clock, Introductions, PeerAnswer

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Invitation:
    """What an operator brings from the cluster. `token` is a secret."""

    url: str
    token: str = field(repr=False)
    ca_sha256: str
    force: bool = False
    """Give up this head's own objects for those of a cluster that shares one database."""


class Sponsor:
    """That head, as the invitation names it. Every method raises Unavailable when it cannot be reached."""

    def __init__(self, introductions: Introductions, invitation: Invitation, clock: Clock) -> None:
        """Raises Invalid for an invitation whose hash is none."""
        self._introductions = introductions
        self._url = invitation.url
        self._token = invitation.token
        self._wanted = read_hash(invitation.ca_sha256)
        self._clock = clock
        self._ca = ""

    async def look(self) -> PeerUrl:
        """What it says of itself; its CA is proved to be the one meant, and the clocks to agree, or Conflict is raised.

        Until then it is sent nothing, and of what was said until then only the CA counts: somebody in between could
        have changed which cluster it is, by which is decided what this head must not give up. So it is asked again.
        """
        otherwise = f"what answers at {self._url} is no head agent"
        answer, time = await self._introductions.look(self._url)
        self._ca = proven_ca(_read(answer, PeerUrl, otherwise).ca_pem, self._wanted)
        if time is not None:
            check_clocks(self._clock.now(), time)
        again = await self._introductions.ask(self._url, self._ca, None, "GET", "/head/peerurl", None)
        return _read(again, PeerUrl, otherwise)

    async def ask(self, request: JoinRequest) -> Welcome:
        """Ask to be let in; raises what the cluster has against it, with the cluster's code."""
        answer = await self._send("POST", "/heads/join", msgspec.to_builtins(request))
        return _read(answer, Welcome, "the cluster's answer cannot be understood")

    async def withdraw(self, uid: str) -> None:
        """Have it take back that it let this head in.

        Never before it did: until then the record may be that of another head with the same uid.
        """
        answer = await self._send("DELETE", "/heads/join", None)
        if answer.status in (404, 405):  # the token was one with HeadsWrite; or the agent there is of version 0.1
            answer = await self._send("DELETE", f"/head/{uid}?force=1", None)
        _data(answer)

    async def _send(self, method: str, path: str, body: Any) -> PeerAnswer:
        return await self._introductions.ask(self._url, self._ca, self._token, method, path, body)


_KINDS: Mapping[int, type[AgentError]] = {
    400: Invalid,
    401: Denied,
    403: Denied,
    409: Conflict,
    422: Invalid,
    503: Unavailable,
    504: TimedOut,
}
"""How another agent's refusal is told here; a bad token of that cluster's is no bad token of this one's."""


def _data(answer: PeerAnswer) -> Any:
    """What a success brought; raises what a failure said, with its code."""
    if answer.status < 400:
        return answer.data
    kind: type[AgentError] = _KINDS.get(answer.status, Failed)
    raise kind(f"cannot join: the cluster refused: {answer.reason}", code=answer.code or "refused")


def _read(answer: PeerAnswer, shape: type[T], otherwise: str) -> T:
    try:
        return msgspec.convert(_data(answer), shape)
    except msgspec.ValidationError as err:
        raise Failed(f"cannot join: {otherwise} ({err})", code="not-an-agent") from err

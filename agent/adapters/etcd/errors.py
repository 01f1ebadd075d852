"""etcd's refusals in the agent's own words; which of them another member, or another moment, may answer better."""

from __future__ import annotations

import msgspec

from agent.errors import AgentError, Conflict, Denied, Failed, NotFound, TooLarge, Unavailable


class NoQuorum(Unavailable):
    """No member answered that has the others' agreement."""

    default_code = "no-quorum"


class InDoubt(NoQuorum):
    """As NoQuorum, and a write that was sent may have happened or happen yet."""


class Compacted(Unavailable):
    """What was asked about lies before what etcd still remembers."""


class NoSpace(Unavailable):
    """etcd has reached its quota and takes no more writes until it was cleaned."""

    default_code = "no-space"


class Foreign(Unavailable):
    """What answers is not the etcd that this agent may use: too old, or of another cluster."""

    default_code = "wrong-etcd"


class Again(Exception):
    """One attempt failed, and another member may do better. `sent`: what was asked may have been done all the same."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.sent = sent


class _Refusal(msgspec.Struct):
    """Every form in which the gateway tells a failure: flat for calls, nested for streams."""

    error: str | dict[str, object] = ""
    message: str = ""
    code: int = 0


_DEADLINE, _NOT_FOUND, _DENIED, _AWAY, _UNAUTHENTICATED = 4, 5, 7, 14, 16
"""gRPC's status codes (https://grpc.github.io/grpc/core/md_doc_statuscodes.html)."""

_PASSING = (
    "no leader",
    "request timed out",
    "leader changed",
    "not leader",
    "stopped",
    "context deadline exceeded",
    "context canceled",
    "connection",
    "too many requests",
    "missing content-type",
)
"""What etcd's messages contain when the same question may be answered elsewhere, or here in a moment; the last is
what its gateway says while etcd stops."""

_STATES = {
    "peerURL exists": "exists",
    "Peer URLs already exists": "exists",
    "member ID already exist": "exists",
    "in sync with leader": "not-in-sync",
    "can only promote a learner": "not-a-learner",
    "too many learner": "too-many-learners",
    "not enough started members": "not-enough-members",
    "future revision": "future-revision",
}
"""Part of etcd's message -> the code of the Conflict that it becomes."""


def told(body: bytes) -> tuple[str, int]:
    """The message and the gRPC code in a refusal; 400 and 404 may also be plain text, which has no code."""
    try:
        refusal = msgspec.json.decode(body, type=_Refusal, strict=False)
    except msgspec.MsgspecError:
        return body[:200].decode(errors="replace").strip(), 0
    if isinstance(refusal.error, dict):
        code = refusal.error.get("grpc_code", refusal.error.get("code", 0))
        return str(refusal.error.get("message", "")), code if isinstance(code, int) else 0
    return refusal.error or refusal.message, refusal.code


def judged(status: int, body: bytes) -> Again | AgentError:
    """What an answer that is not 200 means."""
    message, code = told(body)
    short = message.removeprefix("etcdserver: ").removeprefix("mvcc: ")
    if "unhealthy cluster" in message:
        return Unavailable("etcd has members that do not answer: it takes no change of members now", code="unhealthy")
    if code in (_DEADLINE, _AWAY) or status in (502, 503, 504) or any(word in message for word in _PASSING):
        return Again(f"etcd answers: {short or status}", sent=True)
    for part, state in _STATES.items():
        if part in message:
            return Conflict(f"etcd refuses: {short}", code=state)
    if "compacted" in message:
        return Compacted(f"etcd no longer knows that revision: {short}")
    if "space exceeded" in message:
        return NoSpace("etcd has reached its quota and takes no more writes: clean the database")
    if "too large" in message or "larger than max" in message:
        return TooLarge("etcd does not take that much at once")
    if code == _NOT_FOUND:
        return NotFound(f"etcd knows no such thing: {short}")
    if status in (401, 403) or code in (_DENIED, _UNAUTHENTICATED):
        return Denied(f"etcd does not let this agent in: {short}")
    return Failed(f"etcd refuses: {short or status}", code="etcd")

"""Into the cluster and out of it: both sides of a join, and a head's farewell."""

from __future__ import annotations

from typing import Annotated, Any

import structlog
from msgspec import Meta, Struct
from typing_extensions import override

from agent.api.answers import WRITES, Answers, together
from agent.api.call import Answer, Call
from agent.errors import Conflict, Denied, Failed, FieldError, Invalid, NotFound, TimedOut, Unavailable
from agent.heads.introduction import JoinRequest, Welcome
from agent.heads.joining import Joined
from agent.heads.single_use import single_use
from agent.heads.sponsor import Invitation
from agent.records.steps import Step

log = structlog.get_logger()


class JoinBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /head/join: what the operator brings from the cluster."""

    url: Annotated[str, Meta(max_length=2048, description="Where a head of the cluster answers")]
    token: Annotated[str, Meta(max_length=8192, description="A token of that cluster with HeadsJoin")]
    ca_sha256: Annotated[str, Meta(max_length=200, description="SHA-256 of the DER of the cluster's CA")]
    force: Annotated[bool, Meta(description="Give up this head's own objects for the cluster's")] = False

    @override
    def __repr__(self) -> str:
        """Without the secret."""
        return f"JoinBody({self.url!r})"


_USED = ("token-used", "token-elsewhere")
_NOT_LET_IN = {
    Conflict: ("version", "clock", "engine", "uid-taken", "full", "no-member", "ca-exchange", "peer-url-taken", "busy"),
    Unavailable: ("unhealthy", "unavailable"),
}
ADMITTED = Answers(data=Welcome, fails=together(WRITES, _NOT_LET_IN, {Denied: ("tls-only", *_USED)}))
WITHDRAWN = Answers(
    data=str,
    fails=together(WRITES, {Denied: ("tls-only",), NotFound: ("not-found",), Conflict: ("quorum", "busy")}),
)
JOINED = Answers(
    data=Joined,
    fails=together(
        WRITES,
        _NOT_LET_IN,
        {
            Invalid: ("hash", "invalid"),
            Denied: ("unauthenticated", "expired", "permission", "local-only", "denied", *_USED),
            Conflict: ("wrong-ca", "self", "joined-elsewhere", "has-objects", "no-record", "other-etcd", "conflict"),
            NotFound: ("not-found",),
            Failed: ("not-an-agent", "refused", "failed"),
            Unavailable: ("unreachable", "unproven", "no-backup"),
            TimedOut: ("timeout",),
        },
    ),
    partial=Any,
)
STEPS = Answers(data=list[Step] | None)
FAREWELL = Answers(data=str, fails=WRITES)


async def admit(call: Call) -> Answer:
    """POST /heads/join: let a head in. The answer holds the CA's key, so it goes over TLS alone and is never kept."""
    if call.caller.local:
        raise Denied(
            "a head that joins asks over TLS with its token: run cw-headctl join on that head", code="tls-only"
        )
    asked = await call.body_as(JoinRequest)
    welcome = await call.rooms.admission.admit(asked, single_use(call.caller.claims))
    call.about["head_uid"] = asked.uid
    log.warning("CA key handed out", head_uid=asked.uid, audit=1)
    return Answer(welcome, headers={"Cache-Control": "no-store"})


async def withdraw(call: Call) -> Answer:
    """DELETE /heads/join: a head that was let in and could not come in after all takes that back."""
    once = single_use(call.caller.claims)
    if once is None:
        raise NotFound("this token lets in any number of heads: remove the one that you mean with DELETE /head/<uid>")
    uid = await call.rooms.admission.withdraw(once)
    call.about["head_uid"] = uid
    return Answer(uid)


async def join(call: Call) -> Answer:
    """POST /head/join: have this head join another's cluster."""
    body = await call.body_as(JoinBody)
    why = None
    if not body.url.startswith("https://"):
        why = "must be where a head of the cluster answers, such as https://10.0.0.1:52390"
    elif "@" in body.url:
        why = "must not carry a user or a password: the token lets this head in, and the URL stands in the journal"
    if why is not None:
        raise Invalid(f"url: {why}", fields=[FieldError("url", why)])
    return Answer(await call.rooms.joining.join(Invitation(body.url, body.token, body.ca_sha256, body.force)))


async def progress(call: Call) -> Answer:
    """GET /head/join: the steps of a join that is under way; null when there is none."""
    return Answer(call.rooms.joining.steps)


async def farewell(call: Call) -> Answer:
    """POST /heads/farewell: the head that calls leaves the cluster."""
    assert call.caller.head is not None  # Access.OTHER_HEAD
    call.about["head_uid"] = call.caller.head
    await call.rooms.parting.farewell(call.caller.head)
    return Answer(call.caller.head)

"""Into the cluster and out of it: both sides of a join, and a head's farewell."""

from __future__ import annotations

from typing import Annotated

import structlog
from msgspec import Meta, Struct
from typing_extensions import override

from agent.api.call import Answer, Call
from agent.errors import Denied
from agent.heads.introduction import JoinRequest
from agent.heads.sponsor import Invitation

log = structlog.get_logger()


class JoinBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /head/join: what the operator brings from the cluster."""

    url: Annotated[str, Meta(max_length=2048, description="Where a head of the cluster answers")]
    token: Annotated[str, Meta(max_length=8192, description="A token of that cluster with HeadsWrite")]
    ca_sha256: Annotated[str, Meta(max_length=200, description="SHA-256 of the DER of the cluster's CA")]
    force: Annotated[bool, Meta(description="Give up this head's own objects for the cluster's")] = False

    @override
    def __repr__(self) -> str:
        """Without the secret."""
        return f"JoinBody({self.url!r})"


async def admit(call: Call) -> Answer:
    """POST /heads/join: let a head in. The answer holds the CA's key, so it goes over TLS alone and is never kept."""
    if call.caller.local:
        raise Denied(
            "a head that joins asks over TLS with its token: run cw-headctl join on that head", code="tls-only"
        )
    asked = await call.body_as(JoinRequest)
    welcome = await call.rooms.admission.admit(asked)
    log.warning("CA key handed out", head_uid=asked.uid, token_id=call.caller.token_id, subject=call.caller.subject)
    return Answer(welcome, headers={"Cache-Control": "no-store"})


async def join(call: Call) -> Answer:
    """POST /head/join: have this head join another's cluster."""
    body = await call.body_as(JoinBody)
    return Answer(await call.rooms.joining.join(Invitation(body.url, body.token, body.ca_sha256, body.force)))


async def progress(call: Call) -> Answer:
    """GET /head/join: the steps of a join that is under way; null when there is none."""
    return Answer(call.rooms.joining.steps)


async def farewell(call: Call) -> Answer:
    """POST /heads/farewell: the head that calls leaves the cluster."""
    assert call.caller.head is not None  # Access.OTHER_HEAD
    await call.rooms.parting.farewell(call.caller.head)
    return Answer(call.caller.head)

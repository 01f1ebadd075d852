"""POST /head/token: the agent makes tokens, since only it may read the SSH host key."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, TypedDict

import structlog
from msgspec import Meta, Struct

from agent.api.answers import READS, Answers, together
from agent.api.call import Answer, Call
from agent.config.values import duration
from agent.errors import Conflict, FieldError, Invalid, Unavailable
from agent.heads.single_use import LIFESPAN
from agent.heads.tokens import JOINING, PERMISSIONS, is_subject
from agent.model import rfc3339

log = structlog.get_logger()

_LIFESPAN = duration(60, 366 * 86400)


class TokenRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What POST /head/token takes; `lifespan` is a duration such as "7d", or seconds."""

    permissions: tuple[str, ...]
    lifespan: str | int | float = "1d"
    subject: Annotated[str, Meta(description="Whom the token is for; it stands in the audit")] = "root"


class Token(TypedDict):
    """A token; `expires` is RFC 3339 UTC."""

    token: str
    expires: str
    permissions: list[str]
    subject: str


MADE = Answers(
    data=Token, status=201, fails=together(READS, {Conflict: ("ssh-key", "conflict"), Unavailable: ("ssh-key",)})
)


async def make_token(call: Call) -> Answer:
    """Make a token. It is in the answer and nowhere else: the audit names it by its id only."""
    asked = await call.body_as(TokenRequest)
    permissions = _permissions(asked.permissions)
    if not is_subject(asked.subject):
        raise _invalid("subject", "must be 1 to 128 letters, digits, spaces and ._@+:/=-, the first a letter or digit")
    lifespan = _lifespan(asked.lifespan)
    if JOINING in permissions and lifespan > LIFESPAN:
        raise _invalid("lifespan", f"is at most {LIFESPAN.total_seconds() / 3600:g} h with {JOINING}")
    issued = await call.rooms.token_maker.make(asked.subject, permissions, lifespan)
    claims = issued.claims
    expires = rfc3339(claims.expires)
    log.info(
        "Token issued",
        token_id=claims.token_id,
        subject=claims.subject,
        permissions=permissions,
        expires=expires,
        audit=1,
    )
    data = {"token": issued.token, "expires": expires, "permissions": permissions, "subject": claims.subject}
    return Answer(data, status=201, headers={"Cache-Control": "no-store"})


def _permissions(asked: Sequence[str]) -> list[str]:
    """The permissions asked for, once each and in the order of the reference; raises Invalid."""
    unknown = sorted(set(asked) - set(PERMISSIONS))
    if unknown:
        raise _invalid("permissions", f"{unknown[0][:40]!r} is not one of {', '.join(PERMISSIONS)}")
    if not asked:
        raise _invalid("permissions", f"is empty; name one or more of {', '.join(PERMISSIONS)}")
    return [permission for permission in PERMISSIONS if permission in asked]


def _lifespan(asked: str | float) -> timedelta:
    """How long the token is to be good; raises Invalid."""
    try:
        text = asked if isinstance(asked, str) else f"{asked:f}"
        return timedelta(seconds=_LIFESPAN.read(text.strip()))
    except (ValueError, OverflowError):
        raise _invalid("lifespan", f"must be {_LIFESPAN.allowed}, or as many seconds") from None


def _invalid(field: str, reason: str) -> Invalid:
    return Invalid(f"{field}: {reason}", fields=[FieldError(field, reason)])

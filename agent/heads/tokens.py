"""Tokens: what one says, who may have made it, and how long it is good. Pure; signatures are the adapter's."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from agent.errors import Denied, Unauthenticated
from agent.heads.members import Members
from agent.model import UID_PATTERN, Departure

ADMINISTRATION = "HeadsWrite"
"""Can change keys, and so makes its holder the cluster's administrator."""
JOINING = "HeadsJoin"
"""Lets one head in, once, and nothing else; whoever has HeadsWrite may let in any number."""
PERMISSIONS = (
    "HeadsRead",
    ADMINISTRATION,
    JOINING,
    "ImagesRead",
    "ImagesWrite",
    "BootConfigsRead",
    "BootConfigsWrite",
    "ReposRead",
    "ReposWrite",
)
"""What a token can allow."""

MAX_BYTES = 8192
"""A longer token is not even looked at."""
LEEWAY = timedelta(seconds=60)
"""How far the clocks of two heads may be apart."""
_UID = re.compile(UID_PATTERN)
_SUBJECT = re.compile("[A-Za-z0-9][A-Za-z0-9 ._@+:/=-]{0,127}")
"""A subject stands in the audit, so it is plain text on one line."""
_MAX_TIME = 253402300799
"""31 December 9999, the last day that a datetime can hold."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says."""

    issuer: str
    """The uid of the head whose SSH key signed it."""
    subject: str
    permissions: frozenset[str]
    expires: datetime
    not_before: datetime | None = None
    token_id: str | None = None
    """Names the token in the audit; it opens nothing."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A token that was just made. `token` is a secret and must never be logged."""

    token: str
    claims: Claims


class TokenVerifier(Protocol):
    """Tells whether a token is good; never blocks."""

    def verify(self, token: str, members: Members, now: datetime) -> Claims:
        """What the token says, proved against its issuer's `ssh_public`; raises Unauthenticated."""
        ...


class TokenMaker(Protocol):
    """Makes tokens with this head's SSH key."""

    async def make(self, subject: str, permissions: Collection[str], lifespan: timedelta) -> Issued:
        """A new token; raises Unavailable or Conflict when the key cannot sign for this head."""
        ...


def is_subject(text: str) -> bool:
    """Whether a token may be for that."""
    return _SUBJECT.fullmatch(text) is not None


def issuer_key(issuer: object, members: Members) -> str:
    """The `ssh_public` of the head that a token claims to come from; raises Unauthenticated."""
    if not isinstance(issuer, str) or not _UID.fullmatch(issuer):
        raise Unauthenticated("the token does not say which head issued it (iss)")
    head = members.heads.get(issuer)
    if head is not None:
        return head.ssh_public
    tombstone = members.tombstones.get(issuer)
    if tombstone is None:
        raise Unauthenticated(f"the token was issued by {issuer}, which is no head of this cluster")
    what = "was removed from" if tombstone.departure is Departure.REMOVED else "has left"
    raise Unauthenticated(f"the token was issued by head {issuer}, which {what} this cluster: get a new one")


def read_claims(payload: Mapping[str, Any], cluster: str) -> Claims:
    """The claims out of a payload whose signature is good; raises Unauthenticated for any that is missing or odd."""
    if payload.get("aud") != cluster:
        raise Unauthenticated("the token is for another cluster (aud)")
    subject = payload.get("sub")
    if not isinstance(subject, str) or not is_subject(subject):
        raise Unauthenticated("the token does not say whom it is for (sub)")
    permissions = payload.get("perms")
    if not isinstance(permissions, list) or not all(isinstance(p, str) for p in permissions):
        raise Unauthenticated("the token has no list of permissions (perms)")
    expires = _moment(payload, "exp")
    if expires is None:
        raise Unauthenticated("the token has no end (exp)")
    begins = [moment for name in ("nbf", "iat") if (moment := _moment(payload, name)) is not None]
    token_id = payload.get("jti")
    return Claims(
        issuer=payload["iss"],
        subject=subject,
        permissions=frozenset(permissions),
        expires=expires,
        not_before=max(begins, default=None),
        token_id=token_id if isinstance(token_id, str) else None,
    )


def _moment(payload: Mapping[str, Any], name: str) -> datetime | None:
    """A NumericDate (RFC 7519, 2), None when it is absent; true, NaN and Infinity are JSON to Python, not to us."""
    value = payload.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MAX_TIME:
        raise Unauthenticated(f"the token's {name} is not a time")
    return datetime.fromtimestamp(value, UTC)


def check_dates(claims: Claims, now: datetime) -> None:
    """Raises Unauthenticated for a token that has expired or is not good yet, give or take the leeway."""
    if now - LEEWAY >= claims.expires:
        raise Unauthenticated("the token has expired: get a new one with cw-headctl token", code="expired")
    if claims.not_before is not None and now + LEEWAY < claims.not_before:
        raise Unauthenticated("the token is not good yet: compare the clocks of the heads")


def check_permission(claims: Claims, permission: str | None) -> None:
    """Raises Denied when the token does not carry the permission that the route names."""
    enough = {permission, ADMINISTRATION} if permission == JOINING else {permission}
    if claims.permissions.isdisjoint(enough):
        raise Denied(
            f"the token of {claims.subject} does not carry the permission {permission}, which this route needs",
            code="permission",
        )

"""Tokens on the wire: JWTs (RFC 7519) signed with the issuing head's SSH key, checked against its record."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
from jwt.types import Options
from typing_extensions import override

from agent.adapters.identity.ssh_keys import SigningKey, UnusableKey, signing_key, token_key
from agent.errors import Conflict, Unauthenticated
from agent.heads.members import Members
from agent.heads.tokens import (
    MAX_BYTES,
    Claims,
    Issued,
    TokenMaker,
    TokenVerifier,
    check_dates,
    issuer_key,
    read_claims,
)
from agent.ports import Clock

CACHED = 1024
"""Verified tokens that are remembered; the least recently used go first."""

_BROKEN = (jwt.InvalidTokenError, jwt.InvalidKeyError, ValueError, RecursionError)
"""What PyJWT raises for a token that is no token, deeply nested JSON included."""
_UNCHECKED: Options = {
    "verify_signature": False,
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}


@dataclass(frozen=True, slots=True)
class _Proved:
    claims: Claims
    ssh_public: str
    cluster: str


class JwtVerifier(TokenVerifier):
    """Verifies tokens, remembering those that it proved; what can change is asked of the members on each use."""

    def __init__(self, limit: int = CACHED) -> None:
        self._limit = limit
        self._proved: OrderedDict[bytes, _Proved] = OrderedDict()

    @override
    def verify(self, token: str, members: Members, now: datetime) -> Claims:
        """What the token says, proved against its issuer's `ssh_public`; raises Unauthenticated."""
        if len(token) > MAX_BYTES:
            raise Unauthenticated(f"the token is longer than {MAX_BYTES} bytes")
        if not token.isascii():
            raise Unauthenticated("the token is not a JWT")
        digest = hashlib.sha256(token.encode("ascii")).digest()
        proved = self._proved.get(digest)
        if proved is None or not _still(proved, members):
            self._proved.pop(digest, None)
            claims, ssh_public = _prove(token, members)
            proved = _Proved(claims, ssh_public, members.cluster)
        check_dates(proved.claims, now)
        self._remember(digest, proved)
        return proved.claims

    def _remember(self, digest: bytes, proved: _Proved) -> None:
        self._proved[digest] = proved
        self._proved.move_to_end(digest)
        if len(self._proved) > self._limit:
            self._proved.popitem(last=False)


def _still(proved: _Proved, members: Members) -> bool:
    issuer = members.heads.get(proved.claims.issuer)
    return issuer is not None and issuer.ssh_public == proved.ssh_public and members.cluster == proved.cluster


def _prove(token: str, members: Members) -> tuple[Claims, str]:
    """Check the signature with the key of the head that the token names. The header chooses neither key nor method."""
    try:
        header = jwt.get_unverified_header(token)
        claimed = jwt.decode(token, options=_UNCHECKED)
    except _BROKEN as err:
        raise Unauthenticated("the token is not a JWT") from err
    ssh_public = issuer_key(claimed.get("iss"), members)
    try:
        public = token_key(ssh_public)
    except UnusableKey as err:
        raise Unauthenticated(f"the ssh_public of the token's issuer {err}") from err
    if header.get("alg") != public.algorithm or "crit" in header or "b64" in header:
        raise Unauthenticated(f"the token is not signed as its issuer's key demands (plain {public.algorithm})")
    try:
        payload: dict[str, Any] = jwt.decode(
            token, public.key, algorithms=[public.algorithm], options={**_UNCHECKED, "verify_signature": True}
        )
    except _BROKEN as err:
        raise Unauthenticated("the token's signature is not that of the head that it names") from err
    return read_claims(payload, members.cluster), ssh_public


class JwtMaker(TokenMaker):
    """Makes tokens with the SSH key in `path`, read anew each time so that a missing one is told, not fatal."""

    def __init__(self, path: Path, members: Callable[[], Members], clock: Clock) -> None:
        self._path = path
        self._members = members
        self._clock = clock

    @override
    async def make(self, subject: str, permissions: Collection[str], lifespan: timedelta) -> Issued:
        """A new token; raises Unavailable or Conflict when the key cannot sign for this head."""
        members, now = self._members(), self._clock.now()
        return await asyncio.to_thread(self._make, subject, permissions, lifespan, members, now)

    def _make(
        self, subject: str, permissions: Collection[str], lifespan: timedelta, members: Members, now: datetime
    ) -> Issued:
        signing = signing_key(self._path)
        _check_ours(signing, members)
        issued = int(now.timestamp())
        payload: dict[str, Any] = {
            "iss": members.self_uid,
            "sub": subject,
            "aud": members.cluster,
            "perms": sorted(permissions),
            "iat": issued,
            "exp": issued + int(lifespan.total_seconds()),
            "jti": secrets.token_hex(8),
        }
        token = jwt.encode(payload, signing.key, algorithm=signing.algorithm)
        return Issued(token, read_claims(payload, members.cluster))


def _check_ours(signing: SigningKey, members: Members) -> None:
    """A token of a key that no record has would be refused everywhere: say so now."""
    record = members.heads.get(members.self_uid)
    if record is None or record.ssh_public.split()[:2] != signing.ssh_public.split()[:2]:
        raise Conflict(
            "this head's SSH key is not the ssh_public of its record, so no head would take the token: "
            "restart the agent if the host key was changed, or correct the record",
            code="ssh-key",
        )

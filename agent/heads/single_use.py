"""Tokens that let one head in, and no second one: which it was stands in its record and its tombstone. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from agent.errors import Denied
from agent.heads.tokens import ADMINISTRATION, JOINING, Claims
from agent.model import Record
from agent.records.spec import Body

FIELD = "joined_with"
"""Of a head's record and of its tombstone: the ids of such tokens with which it came in."""
LIFESPAN = timedelta(hours=12)
"""How long such a token is good at most: less than the shortest time for which a tombstone is kept."""
_REMEMBERED = 32
"""Tokens that a head is known to have come in with: nobody has one join so often before the first has expired."""


def single_use(claims: Claims | None) -> Claims | None:
    """The claims of a token that is good for one head; None for any other."""
    if claims is None or ADMINISTRATION in claims.permissions or JOINING not in claims.permissions:
        return None
    return claims


def check_place(claims: Claims, self_uid: str, *, shared: bool) -> None:
    """Raises Denied where it could not be known whether the token has been used.

    Heads that do not share a database see of each other's newcomers a moment later only, so there each head takes
    the tokens that it has made itself.
    """
    if claims.token_id is None:
        raise Denied("the token has no id (jti), so it cannot be told whether it was used", code="token-used")
    if not shared and claims.issuer != self_uid:
        raise Denied(
            f"this token lets a head in through head {claims.issuer}, which made it: join through that one, or make "
            "a token here with `cw-headctl token --join`",
            code="token-elsewhere",
        )


def check_unused(claims: Claims, uid: str, heads: Iterable[Record], tombstones: Iterable[Record]) -> None:
    """Raises Denied once the token has let a head in; the head that it let in may ask again while it is a member."""
    used = [record for record in heads if claims.token_id in record.body.get(FIELD, ()) and record.uid != uid]
    used += [record for record in tombstones if claims.token_id in record.body.get(FIELD, ())]
    if used:
        raise Denied(
            f"the token was used: it let in head {used[0].uid}, and is good for one. Make another one with "
            "`cw-headctl token --join`",
            code="token-used",
        )


def with_use(body: Body, former: Iterable[Record], claims: Claims | None) -> Body:
    """A head's record with the tokens that it came in with; `former`: its record or tombstone until now."""
    tokens: list[str] = [token for record in former for token in record.body.get(FIELD, ())]
    if claims is not None and claims.token_id is not None and claims.token_id not in tokens:
        tokens.append(claims.token_id)
    return {**body, FIELD: tokens[-_REMEMBERED:]} if tokens else body


def without_use(tokens: Sequence[str], claims: Claims) -> list[str]:
    """Those tokens but for one with which a head has not come in after all."""
    return [token for token in tokens if token != claims.token_id]

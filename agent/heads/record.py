"""A head's record: which fields it has and how they must be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from agent.heads.keys import check_ca_pem, check_ssh_public
from agent.heads.liveness import Condition
from agent.heads.trust import normalise
from agent.model import MOST, UID_PATTERN, Head, Kind
from agent.ports import Store
from agent.records import Spec
from agent.records.spec import Body

KEYS = ("ssh_public", "ca_pem", "key_sha256")
"""The fields that decide whom the cluster trusts: a change of one is audited apart."""

_URL = "must be a URL such as https://10.0.0.1:52390"
_SHA256 = re.compile("[0-9a-f]{64}")


class HeadFields(Struct):
    """What a client may set of a head's record."""

    ssh_public: Annotated[str, Meta(max_length=16384, description="OpenSSH public key; checks this head's tokens")]
    description: Annotated[str, Meta(max_length=65536)] = ""
    ca_pem: Annotated[
        Annotated[str, Meta(max_length=262144)] | None,
        Meta(description="PEM certificates of the CAs, one of which issued this head's certificate directly"),
    ] = None
    addresses: Annotated[
        tuple[str, ...],
        Meta(max_length=64, description="IP addresses; by them a head without ca_pem is recognised"),
    ] = ()
    key_sha256: Annotated[
        str | None, Meta(description="SHA-256, in hex, of the SubjectPublicKeyInfo of this head's certificate")
    ] = None
    url: Annotated[str | None, Meta(description="Where this head's agent answers")] = None
    peer_url: Annotated[str | None, Meta(description="Where this head's database engine talks to its peers")] = None


class HeadNew(HeadFields, kw_only=True):
    """What a client sends to register a head."""

    uid: Annotated[str, Meta(pattern=UID_PATTERN)]


class HeadKept(Struct):
    """What the agent keeps in a head's record."""

    joined: Annotated[str | None, Meta(description="When the head came into the cluster")] = None
    generation: Annotated[int, Meta(description="Grows when the head comes back after it was removed")] = 1
    edition: Annotated[int, Meta(description="Grows with every change of the record within a generation")] = 0
    version: Annotated[str | None, Meta(description="The version of its agent")] = None
    joined_with: Annotated[
        tuple[str, ...], Meta(description="The ids of the tokens for one head with which it came in")
    ] = ()


def _addresses(given: tuple[str, ...]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for text in given:
        address = normalise(text)
        if address is None:
            raise ValueError(f"{text[:60]!r} is not an IP address; names are not accepted, they prove nothing")
        parsed = ip_address(address)
        if parsed.is_loopback or parsed.is_unspecified or parsed.is_multicast:
            raise ValueError(f"{address} is no address that another head could call from")
        found[address] = None
    return tuple(found)


def _key_sha256(text: str) -> str:
    if not _SHA256.fullmatch(text.lower()):
        raise ValueError("must be 64 hexadecimal digits")
    return text.lower()


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError as err:
        raise ValueError(_URL) from err
    if not sound or not text.isprintable() or " " in text or len(text) > 2048:
        raise ValueError(_URL)
    if "@" in parts.netloc:
        raise ValueError("must not carry a user or a password: every head can read this record")
    return text


def grown(before: Body, after: Body) -> Body:
    """A changed record with its edition grown: by it, heads that keep a list each tell which one is the newer."""
    return after if after == before else {**after, "edition": min(before.get("edition", 0) + 1, MOST)}


async def _refined(_store: Store, before: Body, after: Body) -> Body:
    return grown(before, after)


HEADS = Spec(
    Kind.HEAD,
    "a head",
    HeadFields,
    uid_required=True,
    kept=HeadKept,
    told=Condition,
    checks={
        "ssh_public": check_ssh_public,
        "ca_pem": check_ca_pem,
        "addresses": _addresses,
        "key_sha256": _key_sha256,
        "url": _url,
        "peer_url": _url,
    },
    refine=_refined,
)
"""Heads, for the one mechanism of all records."""


def warnings(body: Body, others: Mapping[str, Head]) -> list[str]:
    """What an operator should know of a head's record that is allowed all the same; `others` are the other heads."""
    if body.get("ca_pem"):
        return []
    addresses = body.get("addresses") or ()
    if not addresses:
        return ["this head cannot be recognised: it has neither ca_pem nor addresses, so routes for heads refuse it"]
    found = ["this head is recognised by its address alone, which all users of that head share: give it a ca_pem"]
    for uid, other in others.items():
        if not other.ca_pem and (same := sorted({*addresses} & {*other.addresses})):
            found.append(
                f"its address {same[0]} is in the record of head {uid} too, so it does not tell which of them calls: "
                "both are refused until one has a ca_pem or another address"
            )
    return found

"""What a route says of its answers: their shape, their status, and the codes of its failures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NotRequired, TypedDict

from agent.errors import (
    AgentError,
    Conflict,
    Denied,
    Failed,
    Invalid,
    Malformed,
    NotFound,
    Stale,
    TimedOut,
    TooLarge,
    Unauthenticated,
    Unavailable,
)

Codes = Mapping[type[AgentError], tuple[str, ...]]
"""Codes by the kind of failure, which has its HTTP status in the envelope's table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a route answers. The types are such as msgspec can describe; tests hold every answer against them."""

    data: Any
    """The type of `data`, or a tuple of those that it may be; of the whole answer where `media` is given."""
    meta: Any = None
    """The type of `meta`, or a tuple; it is left out where there is nothing to say."""
    beside: Mapping[str, Any] = field(default_factory=dict)
    """The types of what else stands beside `data`; NotRequired[...] for what does not always."""
    status: int = 200
    etag: bool = False
    """It is about one record: GET, POST, PATCH and PUT answer its ETag; PATCH, PUT and DELETE take If-Match."""
    media: tuple[str, ...] = ()
    """The media types of an answer without the envelope, the one that is given unasked first."""
    example: str | None = None
    """One such answer, or a part of it."""
    fails: Codes = field(default_factory=dict)
    """What it can fail with, beyond what its access, its body and its record tell."""
    partial: Any = None
    """The type of `data` beside a failure: what was done until then, or what stands against it."""


class Warnings(TypedDict):
    """What an operator should know all the same."""

    warnings: NotRequired[list[str]]


ALWAYS: Codes = {Malformed: ("bad-http",), Invalid: ("unknown-parameter", "expectation")}
"""What any request can meet."""

FORWARDED: Codes = {
    Invalid: ("another-head",),
    Denied: ("local-only", "tls-only", "not-a-known-head", "removed", "left", "denied"),
    NotFound: ("not-found",),
    Unauthenticated: ("unauthenticated",),
    Unavailable: ("unreachable", "unavailable"),
    TimedOut: ("timeout",),
}
"""What a request with X-Head can meet on the way."""

BY_TOKEN: Codes = {Unauthenticated: ("unauthenticated", "expired"), Denied: ("permission",), Unavailable: ("crowded",)}
KNOWN_HEADS: Codes = {Denied: ("not-a-known-head", "removed", "left", "closed"), Unavailable: ("crowded",)}
OTHER_HEADS: Codes = {**KNOWN_HEADS, Denied: (*KNOWN_HEADS[Denied], "heads-only")}
LOCALLY: Codes = {Denied: ("local-only",)}
BY_ROOT: Codes = {Denied: ("local-only", "root-only")}

BODY: Codes = {Malformed: ("malformed",), TooLarge: ("too-large",), Invalid: ("invalid",)}
QUERY: Codes = {Invalid: ("invalid",)}
PRECONDITION: Codes = {Malformed: ("malformed",), Stale: ("stale",)}

READS: Codes = {
    Unavailable: ("unavailable", "no-quorum", "database-damaged", "member-down", "member-lost", "not-ready", "no-etcd")
}
"""What whoever reads records can meet."""
WRITES: Codes = {
    **READS,
    Unavailable: (*READS[Unavailable], "removed", "no-space"),
    Conflict: ("busy", "exists"),
    Failed: ("etcd",),
    TooLarge: ("too-large",),
}
TURN: Codes = {Conflict: ("busy", "minority", "lock-lost"), Unavailable: ("behind",)}
"""What work that only one head does at a time can meet."""


def together(*all_codes: Codes) -> Codes:
    """The codes of all of these, each once."""
    found: dict[type[AgentError], dict[str, None]] = {}
    for codes in all_codes:
        for kind, words in codes.items():
            found.setdefault(kind, {}).update(dict.fromkeys(words))
    return {kind: tuple(words) for kind, words in found.items()}

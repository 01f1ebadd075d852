"""What a handler is given and what it gives back; the route table's row type."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from agent.api.answers import Answers
from agent.api.query import Parameter
from agent.api.rooms import Rooms
from agent.errors import FieldError, Invalid, Malformed, TooLarge
from agent.heads.tokens import Claims

T = TypeVar("T")

_UNKNOWN_OR_MISSING = re.compile(r"Object (contains unknown|missing required) field `(.*)`", re.DOTALL)

BODY_TIMEOUT = 30
"""Seconds in which a body must have arrived, so that slow senders do not hold handlers for ever."""


BODIES = 64 * 2**20
"""Bytes of bodies that are read at a time for the holders of tokens, who may send slowly and over many connections."""


class Access(StrEnum):
    """Who may call a route (see the reference in docs)."""

    PUBLIC = "public"
    TOKEN = "token"
    KNOWN_HEAD = "known-head"
    OTHER_HEAD = "other-head"
    """By another head's agent, proved by its certificate; not by people, through whatever Unix socket."""
    LOCAL = "local"
    ROOT = "root"
    """Over the Unix socket, by a peer with uid 0."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling, as far as it has been proved."""

    local: bool
    """Came over the Unix socket."""
    address: str
    """The socket peer's address, or "local"."""
    uid: int | None = None
    """The peer process's uid (SO_PEERCRED), on the Unix socket."""
    claims: Claims | None = None
    """What a verified token says."""
    head: str | None = None
    """The uid of the known head that calls."""
    known_by: str | None = None
    """How it was recognised: by its certificate or by its address."""

    @property
    def subject(self) -> str | None:
        """A verified token's subject."""
        return self.claims.subject if self.claims else None

    @property
    def token_id(self) -> str | None:
        """Names a verified token; the audit of its making has the same."""
        return self.claims.token_id if self.claims else None


@dataclass(slots=True)
class Call:
    """One request, authorised, with what its handler may need."""

    request: web.BaseRequest
    rooms: Rooms
    caller: Caller
    request_id: str
    params: Mapping[str, str]
    admit: Callable[[], Caller]
    """Judges once more whether the caller may; raises as the gate does. For what lasts longer than a request."""
    about: dict[str, Any] = field(default_factory=dict)
    """What it turns out to be about, for the audit: `unit`, `head_uid`, `object`, `filename` and the like."""

    def param(self, name: str) -> str:
        """A part of the path, such as the uid."""
        return self.params[name]

    def flag(self, name: str) -> bool:
        """A query switch such as ?dry_run=1; raises Invalid unless it is 0, 1, true or false, and there only once."""
        given = self.request.query.getall(name, ["0"])
        if len(given) > 1:
            raise Invalid(f"?{name} is there {len(given)} times, so it is not clear what is wanted")
        value = given[0].lower()
        if value not in ("0", "1", "true", "false"):
            raise Invalid(f"?{name}={value[:20]} is not a switch: use {name}=1 or leave it out")
        return value in ("1", "true")

    def value(self, parameter: Parameter[T]) -> T:
        """A parameter of the query that is no switch; raises Invalid."""
        return parameter.read(self.request.query.getall(parameter.name, []))

    @property
    def if_match(self) -> int | None:
        """The revision that If-Match names, None without one or with `*`; raises Malformed."""
        value = self.request.headers.get("If-Match", "*").strip()
        if value == "*":
            return None
        bare = value.removeprefix("W/").strip('"')
        if not bare.isascii() or not bare.isdigit() or len(bare) > 18:  # more does not fit a revision
            raise Malformed('If-Match is not an ETag that this agent gave: send one like "42", or *')
        return int(bare)

    async def body(self) -> dict[str, Any]:
        """The body as a JSON object, whatever the Content-Type says; raises Malformed or TooLarge."""
        return parse_object(await self._read())

    async def body_as(self, shape: type[T], *, empty: bool = False) -> T:
        """The body as a msgspec Struct; `empty`: no body at all counts as {}. Raises Malformed or Invalid."""
        raw = await self._read()
        if empty and not raw.strip():
            raw = b"{}"
        return convert(parse_object(raw), shape)

    async def _read(self) -> bytes:
        limit = self.rooms.live.config.api.max_body
        if self.caller.claims is None or not self.request.body_exists:
            return await read_body(self.request, limit)
        length = self.request.content_length
        size = limit if length is None else min(length, limit)
        with self.rooms.traffic.taking(size, max(BODIES, limit)):
            return await read_body(self.request, limit)


async def read_body(request: web.BaseRequest, limit: int, bound: str = "api.max_body") -> bytes:
    """The whole body, at most `limit` bytes; raises TooLarge, or Malformed for one that breaks off or dawdles.

    `bound` tells what sets the limit, or how to go below it.
    """
    too_large = TooLarge(f"the body is larger than {limit} bytes ({bound})")
    if (request.content_length or 0) > limit:
        raise too_large
    parts, total = [], 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            while part := await request.content.readany():
                total += len(part)
                if total > limit:
                    raise too_large
                parts.append(part)
    except TimeoutError as err:
        raise Malformed(f"the body did not arrive within {BODY_TIMEOUT} s") from err
    except (web.RequestPayloadError, ValueError) as err:
        raise Malformed("the body's transfer encoding is broken") from err
    except ConnectionError as err:
        raise Malformed("the client was gone before its body had arrived") from err
    return b"".join(parts)


def parse_object(raw: bytes) -> dict[str, Any]:
    """A JSON object out of a body; raises Malformed."""
    if not raw.strip():
        raise Malformed("the body is empty: send a JSON object")
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as err:
        raise Malformed(f"the body is not JSON: {str(err)[:200]}") from err
    if not isinstance(value, dict):
        raise Malformed("the body is JSON, but not an object: send {...}")
    return value


def convert(value: dict[str, Any], shape: type[T]) -> T:
    """A typed value out of a parsed body; raises Invalid, naming the field."""
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as err:
        fault = _fault(str(err))
        raise Invalid(f"the body is not as it must be: {fault}", fields=[fault]) from err


def _fault(message: str) -> FieldError:
    """msgspec's message as the field that it is about and what is wrong with it."""
    said, _, place = message.partition(" - at `$")
    parts = [part for part in (place.rstrip("`").lstrip("."),) if part]
    if found := _UNKNOWN_OR_MISSING.fullmatch(said):
        wrong, name = found.groups()
        return FieldError(".".join([*parts, name]), "is required" if wrong == "missing required" else "is not known")
    return FieldError(".".join(parts), said[:1].lower() + said[1:])


@dataclass(slots=True)
class Answer:
    """What a handler answers: `data`, and what stands beside it in the envelope.

    `raw`: the whole envelope, already encoded, for answers that are kept ready.
    """

    data: Any = None
    status: int = 200
    meta: Mapping[str, Any] | None = None
    beside: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    sent: web.StreamResponse | None = None
    """What was sent already, in place of all this: a WebSocket that has ended."""
    after: Callable[[], Awaitable[object]] | None = None
    """Done once the answer is on its way, for example the restart of this very agent."""


Handler = Callable[[Call], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Route:
    """One row of the table: what is answered where, for whom."""

    method: str
    path: str
    handler: Handler
    access: Access
    summary: str
    permission: str | None = None
    """The permission that a token must carry; with Access.TOKEN only."""
    body: type[Any] | None = None
    """The shape of the JSON body, where the route takes one; for its description in /openapi.json."""
    bodiless: bool = False
    """No body at all counts as {}, as the handler has it (`Call.body_as`)."""
    tls_only: bool = False
    """What it answers is a secret of the caller's: it passes through no Unix socket and no other head's agent."""
    reads: bool = False
    """It changes nothing, whatever its method is."""
    switches: tuple[str, ...] = ()
    """The query switches that the route knows, such as `dry_run`."""
    query: tuple[Parameter[Any], ...] = ()
    """The other parameters of the query that it knows."""
    answers: Answers = field(kw_only=True)
    """What it answers; its description says so, and the tests hold every answer against that."""

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of all parameters of the query; any other is refused."""
        return (*self.switches, *(parameter.name for parameter in self.query))

    @property
    def forwarded(self) -> bool:
        """Whether X-Head has another head answer it."""
        here_only = self.tls_only or self.access in (Access.LOCAL, Access.ROOT)
        return not here_only and {"application/json", "text/event-stream"}.issuperset(self.answers.media)

    @property
    def preconditions(self) -> bool:
        """Whether it takes If-Match."""
        return self.answers.etag and self.method in ("PATCH", "PUT", "DELETE")

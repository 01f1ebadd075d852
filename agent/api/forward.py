"""X-Head: a request on the Unix socket that is meant for another head goes there over this head's certificate."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from agent.api.call import Access, Answer, Call, Route, parse_object, read_body
from agent.api.envelope import encode, streaming
from agent.api.router import PREFIX
from agent.api.streams import MEDIA as STREAM
from agent.api.streams import whole
from agent.errors import AgentError, Denied, Invalid, Unauthenticated
from agent.ports import LARGE, PeerAnswer

OPERATOR = "X-Operator"
"""Who asked, told to the other head for its journal: information, nothing is decided by it."""
_PASSED_ON = ("Authorization", "If-Match")
_PASSED_BACK = ("ETag", "Location", "Allow", "Cache-Control", "WWW-Authenticate", "X-Stale")
_JSON = "application/json"
_SPARE = 30.0
"""Seconds beyond what a systemd job may take there."""
_SANE = re.compile(r"[\w =@.:-]{1,80}")


class Forwarded(NamedTuple):
    """The other head's answer, and what it had against the request, for our own journal."""

    answer: Answer
    failed: AgentError | None


def check(route: Route, call: Call, uid: str) -> None:
    """Raises Denied, Invalid or Unauthenticated for what cannot be asked of another head."""
    if not call.caller.local:
        raise Invalid(
            "X-Head counts on the Unix socket only: over TLS ask that head itself",
            code="another-head",
        )
    if route.access in (Access.LOCAL, Access.ROOT):
        raise Denied(
            f"this route is answered on the Unix socket of head {uid} only: log in there and use cw-headctl",
            code="local-only",
        )
    if route.tls_only:
        raise Denied(f"what this route answers goes over TLS to whom it is for: ask head {uid} itself", code="tls-only")
    if not {_JSON, STREAM}.issuperset(route.answers.media):
        raise Invalid(
            f"what this route answers is not passed on from head to head: ask head {uid} itself, over TLS",
            code="another-head",
        )
    if "Upgrade" in call.request.headers:
        raise Invalid("a WebSocket cannot be forwarded to another head: connect to that head", code="another-head")
    if route.access is Access.TOKEN and "Authorization" not in call.request.headers:
        raise Unauthenticated(
            f"head {uid} wants a token for this route: send Authorization: Bearer <token> along with X-Head"
        )


async def forward(route: Route, call: Call, uid: str) -> Forwarded:
    """Ask the other head; its answer comes back as it is. Raises what `check` does, NotFound and Unavailable."""
    check(route, call, uid)
    request, rooms = call.request, call.rooms
    raw = await read_body(request, rooms.live.config.api.max_body)
    headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
    headers["X-Request-Id"] = call.request_id
    headers |= on_behalf_of(call)
    path = request.rel_url.raw_path_qs.removeprefix(PREFIX)
    if STREAM in route.answers.media and request.method == "GET":
        return await _follow(call, uid, path, headers)
    answer = await rooms.peers.ask(
        uid,
        request.method,
        path,
        parse_object(raw) if raw.strip() else None,
        timeout=rooms.live.config.services.timeout + _SPARE,
        headers=headers,
        largest=LARGE,
    )
    return Forwarded(_passed_back(answer), _failure(answer))


async def _follow(call: Call, uid: str, path: str, headers: Mapping[str, str]) -> Forwarded:
    """Pass a stream on for as long as both ends go on; it counts among this head's own."""
    async with call.rooms.peers.stream(uid, path, headers) as given:
        if isinstance(given, PeerAnswer):
            return Forwarded(_passed_back(given), _failure(given))
        own = streaming(call.request_id)
        return Forwarded(Answer(sent=await call.rooms.streams.serve(call.request, own, call.admit, whole(given))), None)


def on_behalf_of(call: Call) -> dict[str, str]:
    """The header that tells another head who asked on this one's Unix socket."""
    if call.caller.uid is None:
        return {}
    return {OPERATOR: f"uid {call.caller.uid} on head {call.rooms.live.config.head.uid}"}


def operator(told: str | None) -> str | None:
    """Who is said to have asked on another head, as far as it can stand in a journal."""
    return told if told and _SANE.fullmatch(told) else None


def _passed_back(answer: PeerAnswer) -> Answer:
    given = {name.lower(): value for name, value in answer.headers.items()}
    # A header that holds anything else could not be sent, and the client would get no answer at all.
    headers = {
        name: value
        for name in _PASSED_BACK
        if (value := given.get(name.lower())) is not None and value.isascii() and value.isprintable()
    }
    return Answer(status=answer.status, raw=encode(answer.envelope) if answer.envelope else b"", headers=headers)


def _failure(answer: PeerAnswer) -> AgentError | None:
    if answer.status < 400:
        return None
    return AgentError(answer.reason, code=answer.code)

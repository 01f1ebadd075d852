"""The envelope: how data and failures look on the wire, and the one table of HTTP statuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from agent import errors
from agent.api.call import Answer

STATUS: dict[type[errors.AgentError], int] = {
    errors.Malformed: 400,
    errors.Unauthenticated: 401,
    errors.Denied: 403,
    errors.NotFound: 404,
    errors.MethodNotAllowed: 405,
    errors.Conflict: 409,
    errors.Stale: 412,
    errors.TooLarge: 413,
    errors.Invalid: 422,
    errors.Failed: 502,
    errors.Unavailable: 503,
    errors.TimedOut: 504,
}
"""Failure kind -> HTTP status (RFC 9110); what is not here is a bug and answers 500."""

encode = msgspec.json.Encoder().encode

_JSON = "application/json"
SERVER = "clusterware-head-agent"
"""Who answers, in every answer's header."""


def envelope(data: Any, meta: Mapping[str, Any] | None = None, beside: Mapping[str, Any] | None = None) -> bytes:
    """The bytes of a success."""
    body: dict[str, Any] = {"success": True, "data": data, **(beside or {})}
    if meta:
        body["meta"] = meta
    return encode(body)


def streaming(request_id: str) -> dict[str, str]:
    """The headers of an answer that is sent bit by bit, beside those of its content."""
    return {"X-Request-Id": request_id, "Server": SERVER, "Cache-Control": "no-store"}


def success(answer: Answer) -> web.Response:
    """A handler's answer as a response."""
    body = answer.raw if answer.raw is not None else envelope(answer.data, answer.meta, answer.beside)
    headers = {"Content-Type": _JSON, **answer.headers}
    return web.Response(body=body, status=answer.status, headers=headers)


def failure(err: errors.AgentError) -> web.Response:
    """A failure as a response."""
    body: dict[str, Any] = {"success": False, "reason": err.reason, "code": err.code, **err.beside}
    if err.data is not None:
        body["data"] = err.data
    if err.fields:
        body["errors"] = [{"field": f.field, "reason": f.reason} for f in err.fields]
    headers: dict[str, str] = {}
    if isinstance(err, errors.MethodNotAllowed):
        headers["Allow"] = ", ".join(err.allowed)
    if isinstance(err, errors.Unauthenticated):
        headers["WWW-Authenticate"] = 'Bearer realm="clusterware"'
    status = next((STATUS[kind] for kind in type(err).__mro__ if kind in STATUS), 500)
    return web.Response(body=encode(body), status=status, content_type=_JSON, headers=headers)


def bug() -> web.Response:
    """The answer to a failure nobody foresaw; its traceback goes to the journal only."""
    body = {"success": False, "reason": "the agent failed; its journal has the details", "code": "internal"}
    return web.Response(body=encode(body), status=500, content_type=_JSON)

"""The description of the HTTP interface, generated from the route table."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import msgspec

from agent import __version__
from agent.api.answers import Answers
from agent.api.call import Access, Answer, Call, Route
from agent.api.responses import HEADERS, Responses
from agent.api.shapes import SCHEMAS, Shapes

_PARAMETER = re.compile(r"\{(\w+)\}")

_ABOUT = (
    "Over the agent's Unix socket every route is open to whoever may open it, but for those with x-access "
    "`other-head`; routes with `local` answer only there, and those with `root` only to uid 0. Each path also answers "
    "HEAD, where it answers GET, and OPTIONS."
)

_SECURITY: dict[Access, list[dict[str, list[str]]]] = {
    Access.PUBLIC: [],
    Access.TOKEN: [{"token": []}],
    Access.KNOWN_HEAD: [{"head": []}],
    Access.OTHER_HEAD: [{"head": []}],
    Access.LOCAL: [],
    Access.ROOT: [],
}

_SCHEMES: dict[str, Any] = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A token signed with a head's SSH key; `cw-headctl token` has one made.",
    },
    "head": {
        "type": "mutualTLS",
        "description": "The certificate of another head that is in the cluster, or the address in its record.",
    },
}

_PARAMETERS: dict[str, Any] = {
    "RequestId": {
        "name": "X-Request-Id",
        "in": "header",
        "description": "Names the request in the answer and in the journal; one is made where there is none.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"},
        "example": "backup-42",
    },
    "Head": {
        "name": "X-Head",
        "in": "header",
        "description": "On the Unix socket: the uid of the head that is to answer, through this one.",
        "schema": {"type": "string"},
    },
    "IfMatch": {
        "name": "If-Match",
        "in": "header",
        "description": "An ETag as it was answered: where the record has changed since, nothing is done (412).",
        "schema": {"type": "string"},
        "example": '"42"',
    },
}

DOCUMENT = Answers(data=dict[str, Any], media=("application/json",))


async def openapi(call: Call) -> Answer:
    """The description itself, outside the envelope: that is how its readers expect it."""
    return Answer(raw=call.rooms.openapi())


def described(routes: Sequence[Route]) -> Callable[[], bytes]:
    """What makes the description's bytes when it is first asked for, and has them ready from then on."""
    return cache(lambda: msgspec.json.encode(document(routes)))


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """The OpenAPI 3.1 document of a route table."""
    shapes = Shapes(routes)
    responses = Responses(shapes)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, shapes, responses)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ClusterWare head agent",
            "version": __version__,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/api/v1"}, {"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": {**SCHEMAS, **shapes.components},
            "parameters": _PARAMETERS,
            "responses": responses.components,
            "headers": HEADERS,
            "securitySchemes": _SCHEMES,
        },
    }


def _operation(route: Route, shapes: Shapes, responses: Responses) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "tags": [route.path.split("/")[1].removesuffix("s")],
        "security": _SECURITY[route.access],
        "x-access": route.access,
        "parameters": [*_path_parameters(route), *_query_parameters(route), *_headers(route)],
        "responses": responses.of(route),
    }
    if route.permission:
        operation["x-permission"] = route.permission
    if route.body:
        content = {"application/json": {"schema": shapes.schema(route.body)}}
        operation["requestBody"] = {"required": not route.bodiless, "content": content}
    return operation


def _operation_id(route: Route) -> str:
    return "_".join([route.method.lower(), *re.findall(r"\w+", route.path)])


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(route.path)
    ]


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    switch = {"type": "string", "enum": ["0", "1", "true", "false"], "default": "0"}
    schemas = {
        **dict.fromkeys(route.switches, switch),
        **{parameter.name: parameter.schema() for parameter in route.query},
    }
    return [{"name": name, "in": "query", "schema": schema} for name, schema in schemas.items()]


def _headers(route: Route) -> list[dict[str, Any]]:
    names = ["RequestId"]
    if route.forwarded:
        names.append("Head")
    if route.preconditions:
        names.append("IfMatch")
    return [{"$ref": f"#/components/parameters/{name}"} for name in names]

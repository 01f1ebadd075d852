"""The description of the HTTP interface, generated from the route table."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import msgspec

from agent import __version__
from agent.api.call import Access, Answer, Call, Route

_REF = "#/components/schemas/{name}"
_PARAMETER = re.compile(r"\{(\w+)\}")

_ABOUT = (
    "Over the agent's Unix socket every route is open to whoever may open it, but for those with x-access "
    "`other-head`; routes with `local` answer only there, and those with `root` only to uid 0."
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

_SCHEMAS: dict[str, Any] = {
    "Success": {
        "type": "object",
        "required": ["success", "data"],
        "properties": {"success": {"const": True}, "data": {}, "meta": {"type": "object"}},
    },
    "Failure": {
        "type": "object",
        "required": ["success", "reason", "code"],
        "properties": {
            "success": {"const": False},
            "reason": {"type": "string", "description": "One sentence for a person."},
            "code": {"type": "string", "description": "A stable word for a program."},
            "data": {"description": "Partial results, where there are some."},
            "errors": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["field", "reason"],
                    "properties": {"field": {"type": "string"}, "reason": {"type": "string"}},
                },
            },
        },
    },
}


async def openapi(call: Call) -> Answer:
    """The description itself, outside the envelope: that is how its readers expect it."""
    return Answer(raw=call.rooms.openapi())


def described(routes: Sequence[Route]) -> Callable[[], bytes]:
    """What makes the description's bytes when it is first asked for, and has them ready from then on."""
    return cache(lambda: msgspec.json.encode(document(routes)))


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """The OpenAPI 3.1 document of a route table."""
    bodies = [route.body for route in routes if route.body]
    references, shapes = msgspec.json.schema_components(bodies, ref_template=_REF)
    schema_of = dict(zip(bodies, references, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schema_of)
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
        "components": {"schemas": {**_SCHEMAS, **shapes}, "securitySchemes": _SCHEMES},
    }


def _operation(route: Route, schema_of: dict[type[Any], dict[str, Any]]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "tags": [route.path.split("/")[1].removesuffix("s")],
        "security": _SECURITY[route.access],
        "x-access": route.access,
        "responses": {"2XX": _response("Done", "Success"), "default": _response("Not done, and why", "Failure")},
    }
    if route.permission:
        operation["x-permission"] = route.permission
    if parameters := [*_path_parameters(route), *_query_parameters(route)]:
        operation["parameters"] = parameters
    if route.body:
        operation["requestBody"] = {"content": {"application/json": {"schema": schema_of[route.body]}}}
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


def _response(description: str, schema: str) -> dict[str, Any]:
    reference = {"$ref": _REF.format(name=schema)}
    return {"description": description, "content": {"application/json": {"schema": reference}}}

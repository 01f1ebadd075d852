"""Holds answers against what /openapi.json says of them: every HTTP client of the tests passes them through here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import aiohttp
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from agent.api.openapi import described
from agent.api.router import PREFIX, Router
from agent.api.routes import ROUTES
from agent.errors import MethodNotAllowed, NotFound

_DOCUMENT = "urn:openapi"
_LARGEST = 512 * 1024
"""Bytes of an answer that is looked through: a list of a hundred thousand names says no more than one of a hundred."""
_ROUTER = Router(ROUTES)


def check(method: str, path: str, status: int, headers: Mapping[str, str], text: bytes | str) -> None:
    """Fails unless the answer to a request is as its route's description says, with nothing that it does not tell."""
    names = {name.lower() for name in headers}
    path = path.partition("?")[0].removeprefix(PREFIX)
    where = f"{method} {path}: {status}"
    assert "x-request-id" in names, f"{where} has no X-Request-Id"
    try:
        route, _ = _ROUTER.find(method, path)
    except (NotFound, MethodNotAllowed):
        return  # a row of the test's own, or one that there is not
    operation = f"/paths/{_escaped(route.path)}/{route.method.lower()}"
    responses = _at(operation)["responses"]
    assert str(status) in responses, f"{where} is not described: {text[:300]!r}"
    response, place = responses[str(status)], f"{operation}/responses/{status}"
    if "$ref" in response:
        place = response["$ref"].removeprefix("#")
        response = _at(place)
    for name in ("ETag", "Location"):
        assert (name in response["headers"]) == (name.lower() in names), f"{where}: {name} is not as described"
    described_media = list(response.get("content", ()))
    if method == "HEAD" or not described_media:
        return
    media = headers.get("Content-Type", headers.get("content-type", "")).partition(";")[0]
    assert media in described_media, f"{where} is {media}, described is {described_media}"
    if media == "application/json" and len(text) <= _LARGEST:
        schema = f"{place}/content/{_escaped(media)}/schema"
        faults = [
            f"{error.json_path}: {error.message[:300]}" for error in _validator(schema).iter_errors(json.loads(text))
        ]
        assert not faults, f"{where} is not as /openapi.json describes it: {faults[:3]}"


def checking() -> aiohttp.TraceConfig:
    """Has an aiohttp client check every answer whose body is read."""
    trace = aiohttp.TraceConfig()

    async def answered(_: object, context: Any, end: aiohttp.TraceRequestEndParams) -> None:
        context.response = end.response

    async def read(_: object, context: Any, part: aiohttp.TraceResponseChunkReceivedParams) -> None:
        response = context.response
        check(response.method, response.url.raw_path, response.status, response.headers, part.chunk)

    trace.on_request_end.append(answered)
    trace.on_response_chunk_received.append(read)
    return trace


@cache
def document() -> Any:
    """The description, closed: no object may have what is not described. Readers of the real one are not so strict."""
    return _closed(json.loads(described(ROUTES)()))


@cache
def _validator(place: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"{_DOCUMENT}#{place}"}, registry=_registry())


@cache
def _registry() -> Registry[Any]:
    empty: Registry[Any] = Registry()
    registry: Registry[Any] = empty.with_resource(_DOCUMENT, DRAFT202012.create_resource(document()))
    return registry


def _closed(value: Any) -> Any:
    if isinstance(value, list):
        return [_closed(item) for item in value]
    if not isinstance(value, dict):
        return value
    closed = {key: _closed(item) for key, item in value.items()}
    if value.get("type") == "object" and "properties" in value:
        closed.setdefault("additionalProperties", False)
    return closed


def _escaped(text: str) -> str:
    """A part of a JSON pointer, in a fragment of a URI."""
    return text.replace("~", "~0").replace("/", "~1").replace("{", "%7B").replace("}", "%7D")


def _at(place: str) -> Any:
    found = document()
    for part in place.strip("/").split("/"):
        found = found[part.replace("%7B", "{").replace("%7D", "}").replace("~1", "/").replace("~0", "~")]
    return found

"""The responses of each route as OpenAPI describes them: the success, and by status the codes of its failures."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec

from agent.api.answers import (
    ALWAYS,
    BODY,
    BY_ROOT,
    BY_TOKEN,
    FORWARDED,
    KNOWN_HEADS,
    LOCALLY,
    OTHER_HEADS,
    PRECONDITION,
    QUERY,
    READS,
    Codes,
    together,
)
from agent.api.call import Access, Route
from agent.api.envelope import STATUS
from agent.api.shapes import Shapes, is_required, refer

_BY_ACCESS: dict[Access, Codes] = {
    Access.PUBLIC: {},
    Access.TOKEN: together(BY_TOKEN, READS),
    Access.KNOWN_HEAD: together(KNOWN_HEADS, READS),
    Access.OTHER_HEAD: together(OTHER_HEADS, READS),
    Access.LOCAL: LOCALLY,
    Access.ROOT: BY_ROOT,
}

HEADERS: dict[str, Any] = {
    "RequestId": {
        "description": "The request's id; the journal's lines about it have it as REQUEST_ID.",
        "schema": {"type": "string"},
    },
    "Stale": {
        "description": "There only while the database has no quorum: seconds since what is read was the newest.",
        "schema": {"type": "integer"},
    },
    "ETag": {"description": "The record's revision, for If-Match.", "schema": {"type": "string"}},
    "Location": {"description": "Where the new record is.", "schema": {"type": "string"}},
}


class Responses:
    """The `responses` of operations, their schemas taken from `shapes`; equal failures are described once."""

    def __init__(self, shapes: Shapes) -> None:
        self._shapes = shapes
        self.components: dict[str, Any] = {}
        self._names: dict[bytes, str] = {}

    def of(self, route: Route) -> dict[str, Any]:
        """Every response that the route can give, by status."""
        answers = route.answers
        found = {str(answers.status): self._success(route)}
        by_status: dict[int, list[str]] = {500: ["internal"]}
        for kind, words in failures(route).items():
            by_status.setdefault(STATUS[kind], []).extend(words)
        for status, codes in sorted(by_status.items()):
            found[str(status)] = self._shared(status, self._failure(route, status, codes))
        return found

    def _shared(self, status: int, response: dict[str, Any]) -> dict[str, str]:
        """A reference to this response, which the first route that has it adds to the components."""
        key = msgspec.json.encode(response)
        if key not in self._names:
            word = HTTPStatus(status).phrase.title().replace(" ", "")
            number = sum(name.rstrip("0123456789") == word for name in self.components) + 1
            self._names[key] = f"{word}{number}"
            self.components[self._names[key]] = response
        return {"$ref": f"#/components/responses/{self._names[key]}"}

    def _success(self, route: Route) -> dict[str, Any]:
        answers = route.answers
        names = ["RequestId"]
        if route.method == "GET":
            names.append("Stale")
        if answers.etag and route.method != "DELETE":
            names.append("ETag")
        if answers.etag and route.method == "POST":
            names.append("Location")
        response = {
            "description": HTTPStatus(answers.status).phrase,
            "headers": {_NAMES[name]: {"$ref": f"#/components/headers/{name}"} for name in names},
        }
        if answers.media:
            shown = {"example": answers.example} if answers.example else {}
            schema = self._shapes.schema(answers.data)
            response["content"] = {media: {"schema": schema, **shown} for media in answers.media}
        elif answers.status >= 200:
            response["content"] = {"application/json": {"schema": self._envelope(route)}}
        return response

    def _envelope(self, route: Route) -> dict[str, Any]:
        answers = route.answers
        properties = {"success": {"const": True}, "data": self._shapes.schema(answers.data)}
        properties |= {name: self._shapes.schema(shape) for name, shape in answers.beside.items()}
        required = ["success", "data", *(name for name, shape in answers.beside.items() if is_required(shape))]
        if answers.meta is not None:
            properties["meta"] = self._shapes.schema(answers.meta)
        return {"type": "object", "required": required, "properties": properties}

    def _failure(self, route: Route, status: int, codes: list[str]) -> dict[str, Any]:
        answers = route.answers
        properties: dict[str, Any] = {
            "success": {"const": False},
            "reason": refer("Reason"),
            "code": {"enum": sorted(set(codes))},
        }
        if status in _WITH_FIELDS:
            properties["errors"] = refer("FieldErrors")
        if answers.partial is not None or status in _MORE_TO_SAY:
            own = answers.partial is not None and status not in (401, 403, 409)
            properties["data"] = self._shapes.schema(answers.partial) if own else {}
            properties |= {name: self._shapes.schema(shape) for name, shape in answers.beside.items()}
        schema = {"type": "object", "required": ["success", "reason", "code"], "properties": properties}
        return {
            "description": HTTPStatus(status).phrase,
            "headers": {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}},
            "content": {"application/json": {"schema": schema}},
        }


_NAMES = {"RequestId": "X-Request-Id", "Stale": "X-Stale", "ETag": "ETag", "Location": "Location"}
_WITH_FIELDS = (404, 409, 422)
"""Statuses of failures that may be about fields of the body."""
_MORE_TO_SAY = (403, 409, 502, 503, 504)
"""Statuses of failures with `data` whatever the route is: a lock's holder, or what another head said."""


def failures(route: Route) -> Codes:
    """All codes that a route can answer, by the kind of failure."""
    return together(
        ALWAYS,
        _BY_ACCESS[route.access],
        BODY if route.body else {},
        QUERY if route.parameters else {},
        PRECONDITION if route.preconditions else {},
        FORWARDED if route.forwarded else {},
        route.answers.fails,
    )

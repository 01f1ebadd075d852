"""The route table is complete, and its description says all of it."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from agent.api.answers import Answers
from agent.api.call import Access, Route
from agent.api.openapi import described, document
from agent.api.routes import ROUTES

PERMISSIONS = {
    f"{noun}{verb}" for noun in ("Heads", "Images", "BootConfigs", "Repos") for verb in ("Read", "Write")
} | {"HeadsJoin"}
DOCUMENT: dict[str, Any] = msgspec.json.decode(described(ROUTES)())


def name(route: Route) -> str:
    return f"{route.method} {route.path}"


@pytest.mark.parametrize("route", ROUTES, ids=name)
def test_every_row_has_access_summary_and_a_permission_if_and_only_if_a_token_opens_it(route: Route) -> None:
    assert isinstance(route.access, Access)
    assert len(route.summary) > 10
    assert (route.permission is not None) == (route.access is Access.TOKEN)
    assert route.permission is None or route.permission in PERMISSIONS
    assert route.method == "GET" or route.permission is None or route.permission.endswith(("Write", "Join"))


@pytest.mark.parametrize("route", ROUTES, ids=name)
def test_every_row_is_described(route: Route) -> None:
    operation = DOCUMENT["paths"][route.path][route.method.lower()]
    assert operation["summary"] == route.summary
    assert operation["x-access"] == route.access
    assert operation.get("x-permission") == route.permission
    parameters = {(p["in"], p["name"]) for p in operation["parameters"] if "in" in p}
    assert parameters == {("path", part) for part in re.findall(r"\{(\w+)\}", route.path)} | {
        ("query", parameter) for parameter in route.parameters
    }
    assert ({"$ref": "#/components/parameters/IfMatch"} in operation["parameters"]) == route.preconditions
    assert ({"$ref": "#/components/parameters/Head"} in operation["parameters"]) == route.forwarded
    assert ("requestBody" in operation) == (route.body is not None)


def test_description_has_nothing_that_the_table_has_not() -> None:
    described_rows = {(method.upper(), path) for path, item in DOCUMENT["paths"].items() for method in item}
    assert described_rows == {(route.method, route.path) for route in ROUTES}


def test_operation_ids_are_unique() -> None:
    ids = [operation["operationId"] for item in DOCUMENT["paths"].values() for operation in item.values()]
    assert len(set(ids)) == len(ids)


def test_description_is_openapi() -> None:
    validate(DOCUMENT, cls=OpenAPIV31SpecValidator)


@pytest.mark.parametrize("route", ROUTES, ids=name)
def test_every_row_says_what_it_answers_and_which_failures_it_can_give(route: Route) -> None:
    responses = DOCUMENT["paths"][route.path][route.method.lower()]["responses"]
    assert str(route.answers.status) in responses
    assert "500" in responses
    assert ("401" in responses) == (route.access is Access.TOKEN or route.forwarded)
    assert ("413" in responses) >= (route.body is not None)
    assert ("412" in responses) >= route.preconditions


def test_every_reference_leads_somewhere() -> None:
    text = msgspec.json.encode(DOCUMENT).decode()
    for kind, reference in re.findall(r'"\$ref":"#/components/(\w+)/([\w.]+)"', text):
        assert reference in DOCUMENT["components"][kind]
    for scheme in re.findall(r'"security":\[\{"(\w+)"', text):
        assert scheme in DOCUMENT["components"]["securitySchemes"]


def test_body_shapes_are_described_with_their_fields() -> None:
    async def handler(call: object) -> Any:
        raise NotImplementedError

    class Shape(msgspec.Struct, forbid_unknown_fields=True):
        """What goes in."""

        services: list[str]

    made = document([Route("POST", "/x/{uid}", handler, Access.PUBLIC, "a row", body=Shape, answers=Answers(data=Any))])
    assert made["paths"]["/x/{uid}"]["post"]["requestBody"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/Shape"
    }
    assert made["components"]["schemas"]["Shape"]["required"] == ["services"]
    assert made["components"]["schemas"]["Shape"]["additionalProperties"] is False


def test_a_body_is_required_but_by_the_one_route_that_does_without() -> None:
    optional = {
        f"{method.upper()} {path}"
        for path, item in DOCUMENT["paths"].items()
        for method, operation in item.items()
        if not operation.get("requestBody", {"required": True}).get("required")
    }
    assert optional == {"POST /database/clean"}


def test_description_is_made_once() -> None:
    ready = described(ROUTES)
    assert ready() is ready()


def test_no_route_is_open_to_strangers_by_oversight() -> None:
    public = {name(route) for route in ROUTES if route.access is Access.PUBLIC}
    assert public <= {"GET /head/peerurl", "GET /healthz", "GET /readyz", "GET /openapi.json"}

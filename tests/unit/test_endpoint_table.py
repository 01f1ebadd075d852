"""The documented endpoints are those of the route table."""

from __future__ import annotations

from agent.api.routes import ROUTES
from tests.support.endpoint_table import DOCUMENT, written


def test_documented_endpoints_are_those_of_the_route_table() -> None:
    text = DOCUMENT.read_text()
    assert text == written(text, ROUTES), "run: python -m tests.support.endpoint_table"

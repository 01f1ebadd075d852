"""The route table's look-up."""

from __future__ import annotations

import pytest

from agent.api.call import Access, Answer, Call, Route
from agent.api.router import Router
from agent.errors import MethodNotAllowed, NotFound
from tests.support.rows import ANYTHING


async def handler(call: Call) -> Answer:
    raise AssertionError("not called")


def row(method: str, path: str) -> Route:
    return Route(method, path, handler, Access.PUBLIC, "a row", answers=ANYTHING)


ROWS = [
    row("GET", "/heads"),
    row("POST", "/heads"),
    row("GET", "/head/{uid}"),
    row("DELETE", "/head/{uid}"),
    row("GET", "/head/peerurl"),
]


@pytest.mark.parametrize("prefix", ["", "/api/v1"])
def test_every_row_answers_with_and_without_the_prefix(prefix: str) -> None:
    router = Router(ROWS)
    assert router.find("POST", f"{prefix}/heads") == (ROWS[1], {})
    assert router.find("DELETE", f"{prefix}/head/abc") == (ROWS[3], {"uid": "abc"})


def test_static_path_wins_over_a_parameter_whatever_the_order() -> None:
    assert Router(ROWS).find("GET", "/head/peerurl") == (ROWS[4], {})


def test_head_is_answered_where_get_is() -> None:
    assert Router(ROWS).find("HEAD", "/heads")[0] is ROWS[0]
    with pytest.raises(MethodNotAllowed) as caught:
        Router([row("POST", "/x")]).find("HEAD", "/x")
    assert caught.value.allowed == ("OPTIONS", "POST")


def test_wrong_method_names_those_that_there_are() -> None:
    with pytest.raises(MethodNotAllowed) as caught:
        Router(ROWS).find("PUT", "/heads")
    assert caught.value.allowed == ("GET", "HEAD", "OPTIONS", "POST")


@pytest.mark.parametrize(
    "path", ["/", "", "/nothing", "/head/a/b", "/head/", "/api/v1", "/api/v1/api/v1/heads", "/heads/"]
)
def test_unknown_path_is_not_found(path: str) -> None:
    with pytest.raises(NotFound):
        Router(ROWS).find("GET", path)


def test_row_that_stands_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="stands twice"):
        Router([row("GET", "/a"), row("GET", "/a")])

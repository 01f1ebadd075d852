"""Whose connections make room for whose."""

from __future__ import annotations

from aiohttp import web

from agent.api.connections import HttpServer
from agent.api.crowd import MOST


def nothing(*_: object) -> web.Response:
    """The answer to everything."""
    return web.Response()


async def answer(_: web.BaseRequest) -> web.StreamResponse:
    """The same, in time."""
    return nothing()


async def test_callers_with_tokens_take_no_place_of_another_heads_however_many_they_are() -> None:
    server = HttpServer(answer, nothing)
    head = server()
    assert head.come("192.0.2.1", local=False)
    head.let_in(head=True)

    for number in range(MOST + 100):
        caller = server()
        assert caller.come(f"198.51.{number // 250}.{number % 250}", local=False)
        caller.let_in(head=False)

    census = server.census()
    assert census["head"] == 1
    assert census["known"] <= MOST
    assert census["stranger"] == 0

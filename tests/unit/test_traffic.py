"""Requests are counted by what the table knows; what a stranger makes up cannot make the counters grow without end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
from aiohttp import web

from agent.api.traffic import NO_ROUTE, SECONDS, Traffic
from agent.errors import Denied, NotFound, Unauthenticated


def request(method: str = "GET", received: int = 0) -> web.BaseRequest:
    content = SimpleNamespace(total_bytes=received)
    return cast("web.BaseRequest", SimpleNamespace(method=method, content=content))


def counted(traffic: Traffic) -> dict[tuple[str, str, int], int]:
    """How often each route answered each method with each status."""
    return {
        (*key, status): times
        for key, answered in traffic.answered.items()
        for status, times in answered.statuses.items()
    }


@pytest.fixture
def traffic() -> Traffic:
    return Traffic()


def test_answers_are_counted_by_route_method_and_status_and_timed_by_route_and_method(traffic: Traffic) -> None:
    traffic.note("/head/{uid}", request(), web.Response(body=b"12345"), 0.003)
    traffic.note("/head/{uid}", request(received=7), web.Response(status=404), 100.0)
    assert counted(traffic) == {("/head/{uid}", "GET", 200): 1, ("/head/{uid}", "GET", 404): 1}
    assert traffic.answered["/head/{uid}", "GET"].took.counts == [0, 1] + [0] * (len(SECONDS) - 2) + [1]
    assert (traffic.received, traffic.sent) == (7, 5)


def test_the_answer_to_head_sends_no_body(traffic: Traffic) -> None:
    traffic.note("/heads", request("HEAD"), web.Response(body=b"12345"), 0.0)
    assert traffic.sent == 0


def test_a_stream_is_counted_and_not_timed(traffic: Traffic) -> None:
    traffic.note("/head/heartbeat", request(), web.WebSocketResponse(), 3600.0)
    assert counted(traffic) == {("/head/heartbeat", "GET", 101): 1}
    assert not any(traffic.answered["/head/heartbeat", "GET"].took.counts)


def test_methods_that_nobody_knows_and_paths_that_there_are_not_are_one(traffic: Traffic) -> None:
    for number in range(1000):
        traffic.note(None, request(f"M{number}"), web.Response(status=404), 0.0)
    traffic.note(None, request("POST"), web.Response(status=404), 0.0)
    assert counted(traffic) == {(NO_ROUTE, "other", 404): 1000, (NO_ROUTE, "POST", 404): 1}


def test_who_is_not_let_in_is_counted_by_why_and_other_failures_are_not(traffic: Traffic) -> None:
    for failed in (Denied("no", code="removed"), Unauthenticated("who?"), NotFound("nothing")):
        traffic.note("/heads", request(), web.Response(status=403), 0.0, failed)
    assert traffic.refused == {"removed": 1, "unauthenticated": 1}


def test_reasons_without_end_are_counted_together(traffic: Traffic) -> None:
    for number in range(1000):
        traffic.note("/heads", request(), web.Response(status=403), 0.0, Denied("no", code=f"c{number}"))
    assert len(traffic.refused) < 100
    assert sum(traffic.refused.values()) == 1000

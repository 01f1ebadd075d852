"""Every request is answered in the envelope, whatever is in it."""

from __future__ import annotations

import asyncio
import io
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from agent.api.call import Access, Answer, Call, Route
from agent.errors import Conflict, FieldError, Invalid
from tests.support.http import client, raw, served
from tests.support.rows import ANYTHING
from tests.support.waiting import wait_for


async def hello(call: Call) -> Answer:
    return Answer({"id": call.request_id}, headers={"ETag": '"7"'})


async def echo(call: Call) -> Answer:
    return Answer(await call.body(), status=201)


async def buggy(call: Call) -> Answer:
    raise RuntimeError("the secret is 12345")


async def refusing(call: Call) -> Answer:
    raise Invalid("two fields are wrong", fields=[FieldError("a", "is bad")], beside={"kept": []})


async def conditional(call: Call) -> Answer:
    return Answer({"if_match": call.if_match, "dry": call.flag("dry_run")})


class Slow:
    """A handler that takes its time."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()

    async def __call__(self, call: Call) -> Answer:
        self.entered.set()
        await asyncio.sleep(0.2)
        raise Conflict("too late")


def row(method: str, path: str, handler: object, *switches: str) -> Route:
    return Route(method, path, handler, Access.PUBLIC, "a row", switches=switches, answers=ANYTHING)  # type: ignore[arg-type]


ROWS = [
    row("GET", "/hello", hello),
    row("POST", "/echo", echo),
    row("GET", "/bug", buggy),
    row("POST", "/refuse", refusing),
    row("PUT", "/conditional", conditional, "dry_run"),
]


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Path]:
    path = tmp_path / "s"
    async with served(path, ROWS):
        yield path


@pytest.fixture
async def http(place: Path) -> AsyncIterator[aiohttp.ClientSession]:
    async with client(place) as session:
        yield session


async def test_success_is_enveloped_with_a_request_id(http: aiohttp.ClientSession) -> None:
    async with http.get("/api/v1/hello", headers={"X-Request-Id": "run-7.a"}) as answer:
        assert await answer.json() == {"success": True, "data": {"id": "run-7.a"}}
        assert answer.headers["X-Request-Id"] == "run-7.a"
        assert answer.headers["ETag"] == '"7"'


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "-a", "ä"])
async def test_request_id_that_is_not_sane_is_replaced(http: aiohttp.ClientSession, given: str) -> None:
    async with http.get("/hello", headers={"X-Request-Id": given}) as answer:
        assert answer.headers["X-Request-Id"] not in ("", given)


async def test_body_is_json_whatever_the_content_type(http: aiohttp.ClientSession) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    async with http.post("/echo", data=b'{"a": 1}', headers=headers) as answer:
        assert (answer.status, await answer.json()) == (201, {"success": True, "data": {"a": 1}})


@pytest.mark.parametrize(
    "body",
    [b"", b"  ", b"{", b"[]", b'"x"', b"null", b"\xff", b"{}{}", b'{"a":NaN}', b"[" * 100_000, b'{"a":1', b"a=b"],
)
async def test_body_that_is_no_json_object_is_malformed(http: aiohttp.ClientSession, body: bytes) -> None:
    async with http.post("/echo", data=body) as answer:
        document = await answer.json()
        assert (answer.status, document["success"], document["code"]) == (400, False, "malformed")


async def test_body_over_the_limit_is_413_announced_or_not(http: aiohttp.ClientSession) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * 65536

    for body in (io.BytesIO(b"x" * (2**20 + 1)), pieces()):
        async with http.post("/echo", data=body) as answer:
            assert (answer.status, (await answer.json())["code"]) == (413, "too-large")


async def test_bug_is_500_without_a_word_of_it(http: aiohttp.ClientSession) -> None:
    async with http.get("/bug") as answer:
        text = await answer.text()
        assert answer.status == 500
        assert "12345" not in text
        assert "Runtime" not in text
        assert json.loads(text)["code"] == "internal"


async def test_field_errors_and_partial_results_stand_beside_the_reason(http: aiohttp.ClientSession) -> None:
    async with http.post("/refuse", data=b"{}") as answer:
        assert answer.status == 422
        assert await answer.json() == {
            "success": False,
            "reason": "two fields are wrong",
            "code": "invalid",
            "kept": [],
            "errors": [{"field": "a", "reason": "is bad"}],
        }


async def test_wrong_method_has_allow_and_unknown_path_is_enveloped(http: aiohttp.ClientSession) -> None:
    async with http.delete("/hello") as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")
        assert (await answer.json())["code"] == "method-not-allowed"
    async with http.get("/nowhere") as answer:
        assert (answer.status, (await answer.json())["success"]) == (404, False)


async def test_options_lists_the_methods_and_head_has_no_body(http: aiohttp.ClientSession) -> None:
    async with http.options("/hello") as answer:
        assert (answer.status, answer.headers["Allow"]) == (200, "GET, HEAD, OPTIONS")
    async with http.head("/hello") as answer:
        assert (answer.status, await answer.read()) == (200, b"")
        assert int(answer.headers["Content-Length"]) > 0


@pytest.mark.parametrize(
    ("if_match", "status", "seen"),
    [
        ('"42"', 200, 42),
        ('W/"42"', 200, 42),
        ("*", 200, None),
        ('"abc"', 400, None),
        ("", 400, None),
        ('"-1"', 400, None),
    ],
)
async def test_if_match_is_a_revision(
    http: aiohttp.ClientSession, if_match: str, status: int, seen: int | None
) -> None:
    async with http.put("/conditional", headers={"If-Match": if_match}) as answer:
        assert answer.status == status
        if status == 200:
            assert (await answer.json())["data"]["if_match"] == seen


@pytest.mark.parametrize(
    ("query", "status"), [("dry_run=1", 200), ("dry_run=true", 200), ("dry_run=maybe", 422), ("dry_run=", 422)]
)
async def test_switch_in_the_query(http: aiohttp.ClientSession, query: str, status: int) -> None:
    async with http.put(f"/conditional?{query}") as answer:
        assert answer.status == status


@pytest.mark.parametrize("query", ["dryrun=1", "dry_run=1&x", "DRY_RUN=1"])
async def test_unknown_parameter_is_refused_by_name(http: aiohttp.ClientSession, query: str) -> None:
    async with http.put(f"/conditional?{query}") as answer:
        assert (answer.status, (await answer.json())["code"]) == (422, "unknown-parameter")


@pytest.mark.parametrize(
    "garbage",
    [
        b"nonsense\r\n\r\n",
        b"GET /hello\r\n\r\n",
        b"GET /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
        b"GET /hello HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\nabcde",
        b"GET /hello HTTP/1.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /hello HTTP/1.1\r\nHo st: x\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_answered_in_the_envelope_and_closed(place: Path, garbage: bytes) -> None:
    answer = await raw(place, garbage)
    header, _, body = answer.partition(b"\r\n\r\n")
    assert header.split()[1] == b"400", header
    assert b"\r\nX-Request-Id: " in header
    assert json.loads(body)["code"] == "bad-http"


async def test_a_switch_that_is_there_twice_is_refused(http: aiohttp.ClientSession) -> None:
    async with http.put("/conditional?dry_run=0&dry_run=1") as answer:
        assert (answer.status, (await answer.json())["code"]) == (422, "invalid")


async def test_a_request_that_names_this_head_is_done_here(http: aiohttp.ClientSession) -> None:
    async with http.post("/echo", data=b"{}", headers={"X-Head": "self"}) as answer:
        assert answer.status == 201


async def test_broken_chunk_is_400(place: Path) -> None:
    head = b"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = await raw(place, head + b"zz\r\n{}\r\n0\r\n\r\n")
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400")), answer


async def test_expect_continue_is_honoured_and_any_other_refused(place: Path) -> None:
    good = await raw(
        place,
        b"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
    )
    assert good.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201")
    bad = await raw(
        place, b"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: miracles\r\nContent-Length: 2\r\n\r\n{}"
    )
    assert bad.startswith(b"HTTP/1.1 422")


async def test_pipelined_requests_are_answered_in_order(place: Path) -> None:
    one = b"GET /hello HTTP/1.1\r\nHost: x\r\nX-Request-Id: %s\r\n%s\r\n"
    answer = await raw(place, one % (b"first", b"") + one % (b"second", b"Connection: close\r\n"))
    assert 0 < answer.index(b'"first"') < answer.index(b'"second"')


async def test_stop_waits_for_a_request_in_flight(tmp_path: Path) -> None:
    path, slow = tmp_path / "s", Slow()
    async with client(path) as session, asyncio.TaskGroup() as group:
        async with served(path, [row("GET", "/slow", slow)]):
            asked = group.create_task(session.get("/slow").__aenter__())
            await slow.entered.wait()
        answer = await asked
        assert answer.status == 409
        assert answer.headers["Connection"] == "close"
        answer.release()


async def test_a_stop_for_a_bug_waits_for_a_request_in_flight_too(tmp_path: Path) -> None:
    path, slow, left = tmp_path / "s", Slow(), list[int]()

    async def bug() -> None:
        await slow.entered.wait()
        raise LookupError

    async def run(listener: socket.socket) -> None:
        async with asyncio.TaskGroup() as group:  # as the agent's own: it cancels who serves
            try:
                async with served(path, [row("GET", "/slow", slow)], drain=0.01, others=[listener]) as api:
                    _, stranger = await asyncio.open_connection(*listener.getsockname())
                    await wait_for(lambda: api.traffic.connections()["stranger"])
                    group.create_task(bug())
                    await asyncio.Event().wait()
            finally:
                left.append(api.traffic.in_flight)
                stranger.close()

    async with client(path) as session:
        running = asyncio.create_task(run(socket.create_server(("127.0.0.1", 0))))
        await wait_for(path.exists)
        async with session.get("/slow") as answer:
            assert answer.status == 409
        with pytest.raises(ExceptionGroup):
            await running
    assert left == [0]


@pytest.mark.parametrize("before", [b"", b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"], ids=["new", "kept"])
async def test_a_stop_does_not_close_a_connection_under_a_clients_hands(tmp_path: Path, before: bytes) -> None:
    """New, or used a moment ago: another request may be on its way, and is answered, as the last."""
    path, drains = tmp_path / "s", iter([0.0, 60.0])  # no more are accepted, and those who came have all the time
    async with (
        asyncio.TaskGroup() as group,
        served(path, [row("GET", "/hello", hello)], drain=lambda: next(drains)) as api,
    ):
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(before)
        if before:
            header = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(header.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
        else:
            await wait_for(lambda: api.traffic.connections()["local"])

        async def ask_later() -> bytes:
            await wait_for(lambda: api.stopping)
            await asyncio.sleep(0.5)  # the client is busy
            writer.write(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
            return await reader.read()

        asked = group.create_task(ask_later())
    writer.close()
    assert asked.result().startswith(b"HTTP/1.1 200")
    assert b"Connection: close" in asked.result()


async def test_stop_gives_a_request_that_does_not_end_up_when_its_time_is_over(tmp_path: Path) -> None:
    """systemd gives the whole stop only so much longer, and then kills: twice the time would be too long."""
    path, now, entered = tmp_path / "s", asyncio.get_running_loop().time, asyncio.Event()
    given_up = asyncio.get_running_loop().create_future()

    async def endless(_: Call) -> Answer:
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set_result(now())
        raise AssertionError

    async with client(path) as session:
        async with served(path, [row("GET", "/endless", endless)], in_flight=3.0):
            asked = asyncio.ensure_future(session.get("/endless"))
            await entered.wait()
            began = now()
        with pytest.raises(aiohttp.ClientConnectionError):
            await asked
    assert 3.0 <= await given_up - began < 5.9

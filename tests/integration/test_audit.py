"""AUDIT=1: every attempt to change something and every denial, once, with who, what, from where and how it ended."""

from __future__ import annotations

import asyncio
import os
import pwd
import socket
import threading
from collections.abc import AsyncIterator, MutableMapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agent.adapters.clock import SystemClock
from agent.adapters.identity.tokens import JwtMaker
from agent.api.call import Access, Answer, Call, Route
from agent.api.names import UserNames
from agent.errors import Conflict, Unavailable
from agent.log import CALLER
from tests.support.http import client, served
from tests.support.logs import log_lines
from tests.support.people import OTHER
from tests.support.rows import ANYTHING
from tests.support.ssh import pair
from tests.support.waiting import wait_for
from tests.support.wired import Wired, Wires, wired

Line = MutableMapping[str, Any]


def audit(lines: list[Line]) -> list[Line]:
    return [line for line in lines if "audit" in line]


async def _act(call: Call) -> Answer:
    failures = {"refuse": Conflict("it is there already"), "fail": Unavailable("it is away"), "trip": KeyError("a bug")}
    if (failure := failures.get((await call.body())["how"])) is not None:
        raise failure
    call.about["unit"] = ["a.service", "b.service"]
    return Answer()


async def _nothing(call: Call) -> Answer:
    return Answer()


ROUTES = (
    Route("POST", "/act", _act, Access.LOCAL, "acts", answers=ANYTHING),
    Route("POST", "/look", _nothing, Access.LOCAL, "looks", reads=True, answers=ANYTHING),
    Route("DELETE", "/act", _nothing, Access.LOCAL, "removes", switches=("dry_run",), answers=ANYTHING),
    Route("GET", "/act", _nothing, Access.LOCAL, "shows", answers=ANYTHING),
    Route("DELETE", "/image/{uid}", _nothing, Access.LOCAL, "removes one", answers=ANYTHING),
)


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    async with served(tmp_path / "socket", ROUTES), client(tmp_path / "socket") as session:
        yield session


async def acted(session: aiohttp.ClientSession, how: str) -> list[Line]:
    with log_lines() as lines:
        await session.post("/act", json={"how": how})
    return audit(lines)


async def test_a_change_is_told_with_who_what_from_where_and_how_it_ended(local: aiohttp.ClientSession) -> None:
    (line,) = await acted(local, "well")

    assert (line["local_uid"], line["local_user"], line["peer"]) == (0, pwd.getpwuid(0).pw_name, "local")
    assert (line["method"], line["route"], line["unit"]) == ("POST", "/act", ["a.service", "b.service"])
    assert (line["event"], line["status"], line["result"]) == ("Request changed something", 200, "done")
    assert 0 <= line["took"] < 60
    assert line["request_id"]


@pytest.mark.parametrize(("how", "status", "result"), [("refuse", 409, "refused"), ("fail", 503, "failed")])
async def test_an_attempt_that_did_not_succeed_is_told_with_its_reason(
    local: aiohttp.ClientSession, how: str, status: int, result: str
) -> None:
    (line,) = await acted(local, how)
    assert (line["status"], line["result"]) == (status, result)
    assert line["reason"] in ("it is there already", "it is away")


async def test_an_attempt_that_met_a_bug_is_told_once(local: aiohttp.ClientSession) -> None:
    (line,) = await acted(local, "trip")
    assert (line["event"], line["result"]) == ("Request met a bug", "failed")


async def test_an_attempt_that_the_agent_s_end_cut_off_is_told(tmp_path: Path) -> None:
    async def wait(_: Call) -> Answer:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().call_soon(task.cancel)
        await asyncio.Event().wait()
        return Answer()

    path, route = tmp_path / "socket", Route("POST", "/act", wait, Access.LOCAL, "waits", answers=ANYTHING)
    with log_lines() as lines:
        async with served(path, [route]), client(path) as session:
            with pytest.raises(aiohttp.ServerDisconnectedError):
                await session.post("/act", json={})
    (line,) = audit(lines)
    assert (line["event"], line["result"], line["route"]) == ("Request cut off", "unfinished", "/act")


async def test_what_only_looks_is_no_part_of_the_audit(local: aiohttp.ClientSession) -> None:
    with log_lines() as lines:
        await local.get("/act")
        await local.post("/look", json={})
        await local.delete("/act?dry_run=1")
    assert audit(lines) == []
    assert [line["log_level"] for line in lines] == ["debug"] * 3


async def test_a_removal_that_is_meant_is_told_with_its_object(local: aiohttp.ClientSession) -> None:
    with log_lines() as lines:
        await local.delete("/act?dry_run=0")
        await local.delete("/image/one")
    assert [(line["route"], line.get("object")) for line in audit(lines)] == [("/act", None), ("/image/{uid}", "one")]


async def test_the_next_request_on_a_connection_has_nothing_of_the_one_before(local: aiohttp.ClientSession) -> None:
    with log_lines() as lines:
        await local.delete("/image/one", headers={"X-Request-Id": "first"})
        await local.delete("/act")
    first, second = audit(lines)
    assert first["request_id"] == "first" != second["request_id"]
    assert "object" not in second


@pytest.fixture
async def heads(tmp_path: Path) -> AsyncIterator[list[Wired]]:
    async with wired(tmp_path, 2) as made:
        yield made


async def token(head: Wired, *permissions: str) -> str:
    maker = JwtMaker(pair("ed25519").write(head.directory / "key"), lambda: head.members, SystemClock())
    return (await maker.make("alice", permissions, timedelta(minutes=1))).token


async def over_tls(head: Wired, method: str, path: str, bearer: str, body: Any = None) -> int:
    headers = {"Authorization": f"Bearer {bearer}"}
    async with (
        aiohttp.ClientSession(head.url) as session,
        session.request(method, path, json=body, headers=headers, ssl=False) as answer,
    ):
        return answer.status


async def test_a_change_by_token_is_told_with_whose_it_is_and_keys_apart(heads: list[Wired]) -> None:
    first, second = heads
    bearer = await token(first, "HeadsWrite")
    with log_lines() as lines:
        status = await over_tls(
            first, "PATCH", f"/head/{second.uid}", bearer, {"ssh_public": pair("ed25519", 9).public}
        )
    assert status == 200
    keys, change = audit(lines)
    assert (keys["event"], change["event"]) == ("Head key changed", "Request changed something")
    for line in (keys, change):
        assert (line["subject"], line["peer"], line["head_uid"]) == ("alice", "127.0.0.1", second.uid)
        assert line["token_id"]
        assert "local_uid" not in line
    assert keys["request_id"] == change["request_id"]
    assert bearer not in str(lines)


async def test_whoever_is_denied_is_told_of_be_it_only_a_look(heads: list[Wired]) -> None:
    first, _ = heads
    reader = await token(first, "HeadsRead")
    with log_lines() as lines:
        assert await over_tls(first, "GET", "/heads", "no-token") == 401
        assert await over_tls(first, "DELETE", f"/head/{OTHER}", reader) == 403
        assert await over_tls(first, "GET", "/test/local", reader) == 403
    assert [(line["status"], line["result"], line["peer"]) for line in audit(lines)] == [
        (401, "denied", "127.0.0.1"),
        (403, "denied", "127.0.0.1"),
        (403, "denied", "127.0.0.1"),
    ]


async def test_of_a_local_caller_who_is_denied_it_is_told_who_it_is(heads: list[Wired]) -> None:
    first, second = heads
    with log_lines() as lines:
        denied, _ = await first.over_socket("GET", "/test/other-head")
        nobody, _ = await first.over_socket("GET", "/heads", headers={"X-Head": second.uid})
    assert (denied, nobody) == (403, 401)
    own = [line for line in audit(lines) if line["peer"] == "local"]
    assert [line["status"] for line in own] == [403, 401]
    for line in own:
        assert (line["local_uid"], line["local_user"]) == (os.getuid(), pwd.getpwuid(os.getuid()).pw_name)


async def test_an_address_is_written_in_one_way_also_before_anything_is_proved(tmp_path: Path) -> None:
    wires = Wires(tmp_path)
    head = await wires.head(1, listener=socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True))
    async with wires.running(head):
        reader = await token(head, "HeadsRead")
        with log_lines() as lines:
            assert await over_tls(head, "GET", "/heads", "no-token") == 401
            assert await over_tls(head, "GET", "/test/local", reader) == 403
    assert [line["peer"] for line in audit(lines)] == ["127.0.0.1", "127.0.0.1"]


async def test_what_is_asked_of_another_head_is_told_at_both_ends_as_one_request(heads: list[Wired]) -> None:
    first, second = heads
    bearer = {"X-Head": second.uid, "Authorization": f"Bearer {await token(first, 'HeadsWrite')}"}
    with log_lines() as lines:
        status, _ = await first.over_socket("PATCH", f"/head/{first.uid}", {"description": "x"}, bearer)
    assert status == 200
    there, here = audit(lines)
    assert there["request_id"] == here["request_id"]
    assert (here["local_uid"], here["peer"]) == (os.getuid(), "local")
    assert (there["subject"], there["peer"]) == ("alice", "127.0.0.1")


async def test_what_the_agent_does_by_itself_is_no_part_of_the_audit(heads: list[Wired]) -> None:
    first, second = heads
    assert CALLER.get() == {}
    with log_lines() as lines:
        await first.know(second, description="by itself", ssh_public=pair("ed25519", 8).public, edition=99)
        await wait_for(lambda: first.members.heads[second.uid].description == "by itself")
    assert audit(lines) == []


async def test_a_directory_of_users_that_does_not_answer_holds_nobody_up_twice() -> None:
    asked, answer = [], threading.Event()

    def slow(uid: int) -> str:
        asked.append(uid)
        answer.wait(30)
        return "late"

    names = UserNames(slow, patience=0.01)
    try:
        assert [await names.of(7), await names.of(7)] == [None, None]
        assert asked == [7]
    finally:
        answer.set()


async def test_a_user_that_is_none_has_no_name() -> None:
    assert await UserNames().of(4_000_000_000) is None

"""X-Head: an operator on one head asks another through the agents' certificates."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from agent.adapters.clock import SystemClock
from agent.adapters.identity.tokens import JwtMaker
from tests.support.http import raw
from tests.support.logs import log_lines
from tests.support.people import STRANGER
from tests.support.pki import authority, certificate
from tests.support.ssh import pair
from tests.support.strangers import http_answer, stranger
from tests.support.wired import Wired, wired


@pytest.fixture
async def heads(tmp_path: Path) -> AsyncIterator[list[Wired]]:
    async with wired(tmp_path, 2) as made:
        yield made


async def test_a_known_head_route_of_another_head_is_reached_over_this_heads_certificate(heads: list[Wired]) -> None:
    first, second = heads
    status, envelope = await first.over_socket("GET", "/test/known-head", headers={"X-Head": second.uid})
    assert (status, envelope["data"]["head"]) == (200, first.uid)
    status, envelope = await first.over_socket("GET", "/api/v1/head/peerurl", headers={"X-Head": second.uid})
    assert (status, envelope["data"]["uid"]) == (200, second.uid)


@pytest.mark.parametrize("this", ["self", "uid"])
async def test_x_head_that_names_this_head_changes_nothing(heads: list[Wired], this: str) -> None:
    first, _ = heads
    named = first.uid if this == "uid" else this
    status, envelope = await first.over_socket("GET", "/test/known-head", headers={"X-Head": named})
    assert (status, envelope["data"]["local"]) == (200, True)


async def test_a_token_route_wants_the_callers_own_token_there(heads: list[Wired]) -> None:
    first, second = heads
    status, envelope = await first.over_socket("GET", "/heads", headers={"X-Head": second.uid})
    assert (status, envelope["code"]) == (401, "unauthenticated")
    token = JwtMaker(pair("ed25519").write(first.directory / "key"), lambda: first.members, SystemClock())
    made = await token.make("operator", ("HeadsRead",), timedelta(minutes=1))
    headers = {"X-Head": second.uid, "Authorization": f"Bearer {made.token}"}
    status, envelope = await first.over_socket("GET", f"/head/{first.uid}", headers=headers)
    assert (status, envelope["self"]) == (200, second.uid)


@pytest.mark.parametrize("path", ["/test/local", "/test/root", "/database/backups"])
async def test_a_route_for_the_people_of_that_head_is_refused_here_already(heads: list[Wired], path: str) -> None:
    first, second = heads
    status, envelope = await first.over_socket("GET", path, headers={"X-Head": second.uid})
    assert (status, envelope["code"]) == (403, "local-only")
    assert second.uid in envelope["reason"]


async def test_the_cluster_s_ca_key_passes_through_no_other_head(heads: list[Wired]) -> None:
    first, second = heads
    with_token = {"X-Head": second.uid, "Authorization": "Bearer any"}
    status, envelope = await first.over_socket("POST", "/heads/join", headers=with_token)
    assert (status, envelope["code"]) == (403, "tls-only")


async def test_a_heartbeat_cannot_be_forwarded(heads: list[Wired]) -> None:
    first, second = heads
    upgrade = {"X-Head": second.uid, "Upgrade": "websocket", "Connection": "upgrade"}
    status, envelope = await first.over_socket("GET", "/test/known-head", headers=upgrade)
    assert (status, envelope["code"]) == (422, "another-head")


async def test_what_heads_say_of_themselves_nobody_says_for_them(heads: list[Wired]) -> None:
    first, second = heads
    for there in ({}, {"X-Head": second.uid}):
        status, envelope = await first.over_socket("GET", "/test/other-head", headers=there)
        assert (status, envelope["code"]) == (403, "heads-only")


async def test_over_tls_a_request_for_another_head_is_not_done_here(heads: list[Wired]) -> None:
    first, second = heads
    answer = await second.peers.ask(first.uid, "GET", "/test/known-head", headers={"X-Head": second.uid})
    assert (answer.status, answer.envelope["code"]) == (422, "another-head")


async def test_a_head_that_is_none_or_does_not_answer_says_so(heads: list[Wired]) -> None:
    first, second = heads
    status, envelope = await first.over_socket("GET", "/test/known-head", headers={"X-Head": STRANGER})
    assert (status, envelope["code"]) == (404, "not-found")
    status, envelope = await first.over_socket("GET", "/test/known-head", headers={"X-Head": "../x"})
    assert status == 404
    await first.know(second, url="https://127.0.0.99:9", edition=99)
    status, envelope = await first.over_socket("GET", "/test/known-head", headers={"X-Head": second.uid})
    assert (status, envelope["code"]) == (503, "unreachable")
    assert "nothing listens there" in envelope["reason"]


async def test_the_answer_comes_back_as_it_was_given(heads: list[Wired], tmp_path: Path) -> None:
    first, second = heads
    answer = http_answer(
        b'{"success":false,"reason":"no","code":"odd","kept":[1]}',
        "409 Conflict",
        'ETag: "7"\r\nCache-Control: no-store',
    )
    ca = authority()
    async with stranger(certificate(ca, second.uid), tmp_path, answer) as there:
        await first.know(second, url=there.url, ca_pem=ca.pem, key_sha256=None, edition=99)
        connector = aiohttp.UnixConnector(str(first.socket))
        async with aiohttp.ClientSession("http://head", connector=connector) as client:
            given = {"X-Head": second.uid, "If-Match": '"6"', "X-Request-Id": "mine"}
            async with client.get("/test/known-head?a=b%2Fc", headers=given) as response:
                assert response.status == 422  # the query is checked here
            async with client.get("/test/known-head", headers=given) as response:
                assert response.status == 409
                assert await response.json() == {"success": False, "reason": "no", "code": "odd", "kept": [1]}
                assert response.headers["ETag"] == '"7"'
                assert response.headers["Cache-Control"] == "no-store"
                assert response.headers["X-Request-Id"] == "mine"
        assert b'If-Match: "6"\r\n' in there.received
        assert b"X-Request-Id: mine\r\n" in there.received


async def test_a_header_that_cannot_be_passed_back_is_left_out(heads: list[Wired], tmp_path: Path) -> None:
    first, second = heads
    ca = authority()
    answer = http_answer(b'{"success":true,"data":1}', "200 OK", "Location: a\x1bb", 'ETag: "7"')
    async with stranger(certificate(ca, second.uid), tmp_path, answer) as there:
        await first.know(second, url=there.url, ca_pem=ca.pem, key_sha256=None, edition=99)
        status, envelope = await first.over_socket("GET", "/test/known-head", headers={"X-Head": second.uid})
    assert (status, envelope["data"]) == (200, 1)


async def test_both_ends_tell_their_journals_who_asked(heads: list[Wired]) -> None:
    first, second = heads
    with log_lines() as lines:
        await first.over_socket("GET", "/test/known-head", headers={"X-Head": second.uid})
    passed = [line for line in lines if line["event"] == "Request passed on between heads"]
    there, here = passed
    assert (here["local_uid"], here["head_uid"]) == (os.getuid(), second.uid)
    assert (there["peer"], there["on_behalf_of"]) == (first.uid, f"uid {os.getuid()} on head {first.uid}")


async def test_who_is_said_to_have_asked_cannot_garble_the_journal(heads: list[Wired]) -> None:
    first, second = heads
    with log_lines() as lines:
        await first.peers.ask(second.uid, "GET", "/test/known-head", headers={"X-Operator": 'root" peer="nobody'})
    assert not [line for line in lines if "on_behalf_of" in line]


async def test_only_another_head_says_for_whom_it_asks(heads: list[Wired]) -> None:
    first, second = heads
    pretended = {"X-Operator": f"uid 0 on head {second.uid}"}
    with log_lines() as lines:
        await first.over_socket("GET", "/no/such/path", headers=pretended)
        await first.over_socket("GET", "/test/other-head", headers=pretended)
    assert len([line for line in lines if line["event"] == "Request refused"]) == 2
    assert not [line for line in lines if "on_behalf_of" in line]


async def test_a_stale_store_says_how_old_its_answers_are(heads: list[Wired]) -> None:
    first, second = heads
    second.age.append(12.7)
    answer = await first.peers.ask(second.uid, "GET", "/test/known-head")
    assert answer.headers["X-Stale"] == "12"
    told = await raw(
        first.socket,
        f"GET /test/known-head HTTP/1.1\r\nHost: h\r\nX-Head: {second.uid}\r\nConnection: close\r\n\r\n".encode(),
    )
    assert b"X-Stale: 12\r\n" in told
    told = await raw(second.socket, b"HEAD /test/known-head HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    assert b"X-Stale: 12\r\n" in told
    second.age.append(None)
    answer = await first.peers.ask(second.uid, "GET", "/test/known-head")
    assert "X-Stale" not in answer.headers

"""The first words with an agent that is not trusted yet."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.adapters.clock import SystemClock
from agent.adapters.peers.introductions import HttpIntroductions
from agent.errors import Unavailable
from tests.support.people import CLUSTER, PEER
from tests.support.pki import around_now, authority, certificate
from tests.support.strangers import http_answer, stranger
from tests.support.wired import wired

TOLD = http_answer(
    b'{"success":true,"data":{"uid":"u","cluster":"c","ca_pem":"p"}}', "200 OK", "Date: Wed, 01 May 2030 12:00:00 GMT"
)


@pytest.fixture
def introductions() -> HttpIntroductions:
    return HttpIntroductions(SystemClock())


async def test_a_look_tells_what_must_be_known_and_what_time_it_is_there(
    introductions: HttpIntroductions, tmp_path: Path
) -> None:
    async with stranger(certificate(authority(), PEER), tmp_path, TOLD) as there:
        answer, clock = await introductions.look(there.url)
    assert answer.data == {"uid": "u", "cluster": "c", "ca_pem": "p"}
    assert clock == datetime(2030, 5, 1, 12, tzinfo=UTC)
    assert there.received.startswith(b"GET /api/v1/head/peerurl HTTP/1.1\r\n")


async def test_an_agent_is_introduced_and_then_asked_by_its_ca(
    introductions: HttpIntroductions, tmp_path: Path
) -> None:
    async with wired(tmp_path, 1) as (head,):
        answer, clock = await introductions.look(head.url)
        assert clock is not None
        assert abs(clock - datetime.now(UTC)) < timedelta(seconds=5)
        assert (answer.data["uid"], answer.data["cluster"]) == (head.uid, CLUSTER)
        refused = await introductions.ask(head.url, answer.data["ca_pem"], "no.such.token", "GET", "/heads", None)
        assert (refused.status, refused.envelope["success"]) == (401, False)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (http_answer(b"<html>"), "no head agent: its answer is not JSON"),
        (http_answer(b'{"data":{"uid":"u"}}'), "does not tell what a head must know to join"),
        (http_answer(b'{"data":"' + b"x" * (2**20) + b'"}'), "larger than"),
        (b"220 mail.example ESMTP\r\n", "cannot be reached"),
    ],
)
async def test_what_is_no_agent_is_called_so(
    introductions: HttpIntroductions, tmp_path: Path, answer: bytes, reason: str
) -> None:
    async with stranger(certificate(authority()), tmp_path, answer) as there:
        with pytest.raises(Unavailable, match=reason):
            await introductions.look(there.url)


async def test_each_way_of_not_being_there_has_its_own_sentence(
    introductions: HttpIntroductions, tmp_path: Path
) -> None:
    async with stranger(None, tmp_path) as plain:
        with pytest.raises(Unavailable, match="does not speak TLS"):
            await introductions.look(plain.url)
    with pytest.raises(Unavailable, match=r"the name no\.such\.invalid does not resolve"):
        await introductions.look("https://no.such.invalid:52390")
    with pytest.raises(Unavailable, match="https://"):
        await introductions.look("head1:52390")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(Unavailable, match="nothing listens there"):
        await introductions.look(f"https://127.0.0.1:{port}")


async def test_a_port_that_a_firewall_closes_times_out_with_that_hint(introductions: HttpIntroductions) -> None:
    with socket.socket() as full:  # a backlog that is full swallows the attempts to connect, as a firewall does
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        with (
            socket.create_connection(("127.0.0.1", port)),
            pytest.raises(Unavailable, match="a firewall is in between"),
        ):
            await introductions.look(f"https://127.0.0.1:{port}")


@pytest.mark.parametrize("name", ["another CA", "below the CA", "expired"])
async def test_the_token_goes_only_to_a_server_that_the_ca_issued(
    introductions: HttpIntroductions, tmp_path: Path, name: str
) -> None:
    ca = authority()
    match name:
        case "another CA":
            shown, reason = certificate(authority(), PEER), "not issued by the CA"
        case "below the CA":
            shown, reason = certificate(authority(above=ca), PEER), "not issued by the CA"
        case _:
            past = around_now(timedelta(days=-9), timedelta(days=-8))
            shown, reason = certificate(ca, PEER, valid=past), "compare the clocks"
    async with stranger(shown, tmp_path) as there:
        with pytest.raises(Unavailable, match=reason):
            await introductions.ask(there.url, ca.pem, "hush", "POST", "/heads/join", {})
        assert not there.received
    async with stranger(certificate(ca, PEER), tmp_path) as right:
        assert (await introductions.ask(right.url, ca.pem, "hush", "POST", "/heads/join", {})).data == "hello"
        assert b"Authorization: Bearer hush\r\n" in right.received

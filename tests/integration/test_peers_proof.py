"""Whom `HttpPeers` talks to: only to the head that the record describes, proved before anything is sent."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from agent.adapters.clock import SystemClock
from agent.adapters.identity.certificates import make_ca
from agent.adapters.identity.files import IdentityFiles, Place
from agent.adapters.peers.members import HttpPeers
from agent.config import Config, Live
from agent.errors import NotFound, Unavailable
from agent.heads.identity import Identity
from agent.model import Head
from agent.ports import LARGE, SMALL
from tests.support.people import CLUSTER, ME, OTHER, PEER, SOME_KEY, Roster, members
from tests.support.pki import Holder, around_now, authority, certificate
from tests.support.strangers import Stranger, http_answer, stranger
from tests.support.waiting import wait_for


@dataclass
class Asking:
    """A head that asks others."""

    peers: HttpPeers
    roster: Roster
    directory: Path
    files: IdentityFiles
    place: list[Place]
    identity: list[Identity]

    def know(self, at: Stranger, *cas: Holder, uid: str = PEER, key_sha256: str | None = None) -> None:
        """Have a record of a head there."""
        ca_pem = "".join(ca.pem for ca in cas) or None
        self.change(uid, Head(SOME_KEY, ca_pem=ca_pem, url=at.url, key_sha256=key_sha256))

    def change(self, uid: str, record: Head | None) -> None:
        """Change or remove a record."""
        mine = self.roster()
        heads = {**mine.heads, uid: record} if record else {u: h for u, h in mine.heads.items() if u != uid}
        self.roster.now = replace(mine, heads=heads, revision=mine.revision + 1)

    async def refusal(self, uid: str = PEER) -> str:
        """Why that head cannot be asked."""
        with pytest.raises(Unavailable) as refused:
            await self.peers.ask(uid, "POST", "/secret", {"password": "hush"})
        assert refused.value.code == "unreachable"
        return refused.value.reason


@pytest.fixture
async def asking(tmp_path: Path) -> AsyncIterator[Asking]:
    place = [Place((), ("10.0.0.1",), ())]
    (tmp_path / "ca.pem").write_bytes(make_ca(CLUSTER, SystemClock().now()).pem())
    (tmp_path / "ca.pem").chmod(0o600)
    files = IdentityFiles(tmp_path, ME, lambda: place[0])
    identity, roster = [files.open(CLUSTER, SystemClock().now())], Roster(members())
    async with HttpPeers.open(Live(Config()), roster, lambda: identity[-1], SystemClock()) as peers:
        yield Asking(peers, roster, tmp_path, files, place, identity)


@contextlib.asynccontextmanager
async def peer(asking: Asking, holder: Holder | None, *cas: Holder, **known: str) -> AsyncIterator[Stranger]:
    """A server with this certificate at the place that the peer's record, with these CAs, names."""
    async with stranger(holder, asking.directory) as there:
        asking.know(there, *cas, **known)
        yield there


async def test_the_head_that_was_meant_is_asked_and_answers(asking: Asking) -> None:
    ca = authority()
    shown = certificate(ca, PEER)
    async with peer(asking, shown, ca, key_sha256=shown.key_sha256) as there:
        answer = await asking.peers.ask(PEER, "POST", "/x?y=1", {"a": 1}, headers={"X-Request-Id": "r1"})
        assert (answer.status, answer.data) == (200, "hello")
    request = bytes(there.received)
    assert request.startswith(b"POST /api/v1/x?y=1 HTTP/1.1\r\n")
    assert request.endswith(b'{"a":1}')
    assert b"X-Request-Id: r1\r\n" in request


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("another head", f"it is that of head {OTHER}"),
        ("no head", "names none"),
        ("two heads", "names 2"),
        ("another CA", "not issued by the CA that it should be"),
        ("swapped key", "pins (key_sha256)"),
        ("expired", "expired or is not valid yet"),
        ("not yet valid", "expired or is not valid yet"),
        ("expired CA", "expired or is not valid yet"),
    ],
)
async def test_whoever_else_answers_there_is_told_nothing(asking: Asking, name: str, reason: str) -> None:
    ca, pin = authority(), None
    past = around_now(timedelta(days=-20), timedelta(days=-10))
    shown = certificate(ca, PEER)
    match name:
        case "another head":
            shown = certificate(ca, OTHER)
        case "no head":
            shown = certificate(ca)
        case "two heads":
            shown = certificate(ca, PEER, OTHER)
        case "another CA":
            shown = certificate(authority(), PEER)
        case "swapped key":
            pin = certificate(ca, PEER).key_sha256
        case "expired":
            shown = certificate(ca, PEER, valid=past)
        case "not yet valid":
            shown = certificate(ca, PEER, valid=around_now(timedelta(days=10), timedelta(days=20)))
        case _:
            ca = authority(valid=past)
            shown = certificate(ca, PEER)
    async with stranger(shown, asking.directory) as there:
        asking.know(there, ca, key_sha256=pin)
        assert reason in await asking.refusal()
    assert not there.received


async def test_a_server_without_tls_1_3_is_not_shown_our_certificate(asking: Asking) -> None:
    """TLS 1.2 would send it before the server's has been judged."""
    ca = authority()
    async with stranger(certificate(ca, PEER), asking.directory, newest=ssl.TLSVersion.TLSv1_2) as there:
        asking.know(there, ca)
        assert "cannot be reached" in await asking.refusal()
    assert there.connections == 0  # no handshake was finished


async def test_an_intermediate_does_not_speak_for_the_ca_above_it(asking: Asking) -> None:
    ca = authority("root")
    between = authority("between", above=ca)
    async with stranger(certificate(between, PEER), asking.directory) as there:
        asking.know(there, ca)
        assert "not issued by the CA" in await asking.refusal()
        asking.know(there, between)
        assert (await asking.peers.ask(PEER, "GET", "/x")).status == 200


async def test_each_head_may_have_a_ca_of_its_own_and_several_while_it_changes(asking: Asking) -> None:
    own, later = authority("own"), authority("later")
    async with peer(asking, certificate(later, PEER), own, later):
        assert (await asking.peers.ask(PEER, "GET", "/x")).status == 200


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (Head(SOME_KEY, ca_pem="x"), "has no url"),
        (Head(SOME_KEY, ca_pem="x", url="http://127.0.0.1:1"), "does not begin with https://"),
        (Head(SOME_KEY, url="https://127.0.0.1:1"), "has no ca_pem"),
        (Head(SOME_KEY, ca_pem="rubbish", url="https://127.0.0.1:1"), "no CA certificate"),
        (Head(SOME_KEY, ca_pem=authority().pem, url="https://127.0.0.1:1"), "nothing listens there"),
        (Head(SOME_KEY, ca_pem=authority().pem, url="https://no.such.invalid:1"), "does not resolve"),
    ],
)
async def test_a_head_that_cannot_be_asked_is_unreachable_with_the_reason(
    asking: Asking, record: Head, reason: str
) -> None:
    asking.change(PEER, record)
    assert reason in await asking.refusal()


async def test_a_server_without_tls_is_told_nothing_readable(asking: Asking) -> None:
    async with peer(asking, None, authority()) as there:
        assert "does not speak TLS" in await asking.refusal()
    assert b"hush" not in there.received


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (http_answer(b"<html>"), "not JSON"),
        (http_answer(b"[1]"), "not an object"),
        (b"SSH-2.0-OpenSSH_9\r\n", ""),
        (http_answer(b"", "302 Found", "Location: https://elsewhere.invalid/"), None),
    ],
)
async def test_an_answer_that_no_agent_gives(asking: Asking, answer: bytes, reason: str | None) -> None:
    ca = authority()
    async with peer(asking, certificate(ca, PEER), ca) as there:
        there.answer = answer
        if reason is None:
            assert (await asking.peers.ask(PEER, "GET", "/x")).status == 302
        else:
            assert reason in await asking.refusal()


async def test_an_answer_larger_than_what_was_asked_for_can_be_is_none(asking: Asking) -> None:
    ca = authority()
    async with peer(asking, certificate(ca, PEER), ca) as there:
        there.answer = http_answer(b'{"success":true,"data":"' + b"x" * SMALL + b'"}')
        assert "larger than" in await asking.refusal()
        assert (await asking.peers.ask(PEER, "GET", "/x", largest=LARGE)).status == 200


async def test_an_answer_that_would_fill_the_memory_once_it_is_decoded_is_none(asking: Asking) -> None:
    ca = authority()
    async with peer(asking, certificate(ca, PEER), ca) as there:
        there.answer = http_answer(b'{"success":true,"data":[' + b"{}," * 1_000_000 + b"{}]}")
        with pytest.raises(Unavailable, match="values"):
            await asking.peers.ask(PEER, "GET", "/x", largest=LARGE)


async def test_a_head_that_does_not_answer_costs_no_more_than_the_timeout(asking: Asking) -> None:
    ca = authority()
    async with peer(asking, certificate(ca, PEER), ca) as there:
        there.answer = b""
        with pytest.raises(Unavailable, match="did not answer in time"):
            await asking.peers.ask(PEER, "GET", "/x", timeout=0.2)


async def test_strangers_and_this_head_itself_are_no_peers(asking: Asking) -> None:
    for nobody in (OTHER, ME):
        with pytest.raises(NotFound):
            await asking.peers.ask(nobody, "GET", "/x")


async def test_a_connection_is_kept_until_the_record_changes(asking: Asking) -> None:
    ca = authority()
    async with peer(asking, certificate(ca, PEER), ca) as there:
        for _ in range(3):
            await asking.peers.ask(PEER, "GET", "/x")
        assert there.connections == 1
        asking.know(there, ca, authority())
        await asking.peers.ask(PEER, "GET", "/x")
        assert there.connections == 2
        await wait_for(lambda: there.ended == 1)
        asking.know(there, authority())
        assert "not issued by the CA" in await asking.refusal()


async def test_when_another_heads_certificate_ends_is_known_from_what_it_showed_last(asking: Asking) -> None:
    ca = authority()
    shown = certificate(ca, PEER)
    assert asking.peers.certificate_ends() == {}
    async with peer(asking, shown, ca):
        await asking.peers.ask(PEER, "GET", "/x")
        assert asking.peers.certificate_ends() == {PEER: shown.certificate.not_valid_after_utc}
    begins, ends = around_now()
    renewed = certificate(ca, PEER, valid=(begins, ends + timedelta(days=1)))
    async with peer(asking, renewed, ca):
        await asking.peers.ask(PEER, "GET", "/x")
        assert asking.peers.certificate_ends() == {PEER: renewed.certificate.not_valid_after_utc}
    async with peer(asking, certificate(authority(), PEER, valid=(begins, ends + timedelta(days=2))), ca):
        await asking.refusal()  # what is not proved tells nothing
        assert asking.peers.certificate_ends() == {PEER: renewed.certificate.not_valid_after_utc}


async def test_a_removed_head_is_no_peer_and_its_connection_is_closed(asking: Asking) -> None:
    ca = authority()
    async with peer(asking, certificate(ca, PEER), ca) as there:
        await asking.peers.ask(PEER, "GET", "/x")
        asking.change(PEER, None)
        with pytest.raises(NotFound):
            await asking.peers.ask(PEER, "GET", "/x")
        await wait_for(lambda: there.ended == 1)


async def test_an_answer_under_way_survives_a_reissue_of_our_certificate(asking: Asking) -> None:
    ca = authority()
    async with peer(asking, certificate(ca, PEER), ca) as there:
        await asking.peers.ask(PEER, "GET", "/x")
        before = asking.identity[-1]
        asking.place[0] = Place((), ("10.0.0.2",), ())
        asking.identity.append(asking.files.open(CLUSTER, SystemClock().now()))
        assert asking.identity[-1].fingerprint != before.fingerprint
        await asking.peers.ask(PEER, "GET", "/x")
        assert there.connections == 2

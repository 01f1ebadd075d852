"""Known heads over real TLS: who gets through the handshake, who past the gate, and for how long."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
import ssl
import warnings
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from agent.adapters.identity.tls import ServerTls
from agent.errors import Unavailable
from agent.model import Departure, Tombstone
from tests.support.gate import Head, ask, running_head
from tests.support.people import OTHER, PEER, head
from tests.support.pki import Holder, around_now, authority, certificate, client_context

ROUTE = "/test/known-head"


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Head]:
    """A head that knows nobody yet."""
    async with running_head(tmp_path) as running:
        yield running


def among(here: Head, **changes: object) -> None:
    """Change the members."""
    mine = here.roster()
    here.roster.now = replace(mine, revision=mine.revision + 1, **changes)  # type: ignore[arg-type]


def know(here: Head, uid: str, ca: Holder, *, key_sha256: str | None = None) -> None:
    """What POST /heads or PATCH does: a record with this CA."""
    among(here, heads={**here.roster().heads, uid: head(ca.pem, key_sha256=key_sha256)})


def forget(here: Head, uid: str, departure: Departure = Departure.REMOVED) -> None:
    """What a removal or a leave does: no record any more, and a tombstone."""
    heads = dict(here.roster().heads)
    ca_pem = heads.pop(uid).ca_pem
    gone = Tombstone(departure=departure, at="2030-01-01T00:00:00.000Z", generation=1, ca_pem=ca_pem)
    among(here, heads=heads, tombstones={uid: gone})


async def refusal(client: aiohttp.ClientSession) -> str:
    """Code and reason of a 403."""
    status, body = await ask(client, ROUTE)
    assert status == 403
    return f"{body['code']}: {body['reason']}"


async def test_a_record_with_a_ca_is_enough_for_its_head_to_be_let_in(here: Head) -> None:
    ca = authority("the peer's own CA")
    know(here, PEER, ca)
    data = {"local": False, "subject": None, "head": PEER, "uid": None}
    assert await ask(await here.over_tls(certificate(ca, PEER)), ROUTE) == (200, {"success": True, "data": data})


@pytest.mark.parametrize("departure", list(Departure))
async def test_a_head_that_is_gone_is_shut_out_on_its_open_connection_and_told(
    here: Head, departure: Departure
) -> None:
    ca = authority()
    know(here, PEER, ca)
    shown = certificate(ca, PEER)
    client = await here.over_tls(shown)
    assert (await ask(client, ROUTE))[0] == 200
    forget(here, PEER, departure)
    assert (await refusal(client)).startswith(f"{departure.value}: ")
    assert here.connected == 1
    assert (await refusal(await here.over_tls(shown))).startswith(f"{departure.value}: ")
    know(here, PEER, ca)
    assert (await ask(client, ROUTE))[0] == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
async def test_a_ca_added_while_the_server_runs_counts_and_one_taken_out_does_not(here: Head, host: str) -> None:
    """With a server name in the handshake and without one: clients send none for an address."""
    ca, later = authority("one"), authority("two")
    know(here, PEER, ca)
    assert (await ask(await here.over_tls(certificate(ca, PEER), host=host.strip("[]")), ROUTE))[0] == 200
    know(here, PEER, later)
    assert (await ask(await here.over_tls(certificate(later, PEER), host=host.strip("[]")), ROUTE))[0] == 200
    with pytest.raises((aiohttp.ClientError, ConnectionError)):
        await ask(await here.over_tls(certificate(ca, PEER), host=host.strip("[]")), ROUTE)


async def test_a_ca_taken_out_shuts_out_open_connections_too(here: Head) -> None:
    ca = authority("one")
    know(here, PEER, ca)
    client = await here.over_tls(certificate(ca, PEER))
    assert (await ask(client, ROUTE))[0] == 200
    know(here, PEER, authority("two"))
    assert "not issued directly" in await refusal(client)


async def test_a_change_of_another_head_leaves_an_open_connection_as_it_was(here: Head) -> None:
    ca = authority()
    know(here, PEER, ca)
    client = await here.over_tls(certificate(ca, PEER))
    for _ in range(3):
        assert (await ask(client, ROUTE))[1]["data"]["head"] == PEER
        know(here, OTHER, authority())
    assert here.connected == 1


async def test_without_a_certificate_the_refusal_names_both_modes(here: Head) -> None:
    reason = await refusal(await here.over_tls())
    assert "certificate: the client sent none" in reason
    assert "address: 127.0.0.1 is a loopback address" in reason


async def test_a_wrong_pin_is_refused_and_a_pin_can_be_set_under_an_open_connection(here: Head) -> None:
    ca = authority()
    shown = certificate(ca, PEER)
    know(here, PEER, ca, key_sha256=shown.key_sha256)
    client = await here.over_tls(shown)
    assert (await ask(client, ROUTE))[0] == 200
    know(here, PEER, ca, key_sha256=certificate(ca, PEER).key_sha256)
    assert "key_sha256" in await refusal(client)


async def test_the_clusters_ca_cannot_make_an_evicted_head_into_another(here: Head) -> None:
    """A head that was evicted knows the CA's key and issues itself a certificate with another head's uid."""
    ca = authority("the cluster's CA")
    know(here, OTHER, ca, key_sha256=certificate(ca, OTHER).key_sha256)
    assert "key_sha256" in await refusal(await here.over_tls(certificate(ca, OTHER)))


async def test_another_heads_ca_cannot_issue_a_certificate_for_this_head(here: Head) -> None:
    ca, foreign = authority("one"), authority("two")
    know(here, PEER, ca)
    know(here, OTHER, foreign)
    assert "not issued directly" in await refusal(await here.over_tls(certificate(foreign, PEER)))
    assert (await ask(await here.over_tls(certificate(foreign, OTHER)), ROUTE))[1]["data"]["head"] == OTHER


async def test_two_cas_with_one_name_each_vouch_for_their_own_head(here: Head) -> None:
    one, two = authority("the same name"), authority("the same name")
    know(here, PEER, one)
    know(here, OTHER, two)
    for ca, uid, wrong in ((one, PEER, OTHER), (two, OTHER, PEER)):
        assert (await ask(await here.over_tls(certificate(ca, uid)), ROUTE))[1]["data"]["head"] == uid
        assert "not issued directly" in await refusal(await here.over_tls(certificate(ca, wrong)))


async def test_an_intermediate_that_the_record_does_not_name_is_not_enough(here: Head) -> None:
    root = authority("a root")
    between = authority("an intermediate", above=root)
    know(here, PEER, root)
    assert "not issued directly" in await refusal(await here.over_tls(certificate(between, PEER), between))
    know(here, PEER, between)
    assert (await ask(await here.over_tls(certificate(between, PEER)), ROUTE))[0] == 200


async def test_certificates_that_name_no_head_or_two_are_refused(here: Head) -> None:
    ca = authority()
    know(here, PEER, ca)
    for shown in (certificate(ca), certificate(ca, uris=[f"urn:other:head:{PEER}"])):
        assert "names none" in await refusal(await here.over_tls(shown))
    assert "names 2" in await refusal(await here.over_tls(certificate(ca, PEER, OTHER)))


@pytest.mark.parametrize("days", [(-3, -1), (1, 3)])
async def test_a_certificate_out_of_its_dates_is_refused_and_told_so(here: Head, days: tuple[int, int]) -> None:
    ca = authority(valid=around_now(timedelta(days=-9), timedelta(days=9)))
    know(here, PEER, ca)
    shown = certificate(ca, PEER, valid=around_now(timedelta(days=days[0]), timedelta(days=days[1])))
    client = await here.over_tls(shown)
    assert "has expired or is not valid yet (compare the clocks)" in await refusal(client)
    assert (await ask(client, "/test/public"))[0] == 200


async def test_a_certificate_of_a_ca_that_has_expired_is_refused_and_told_so(here: Head) -> None:
    ca = authority(valid=around_now(timedelta(days=-9), timedelta(days=-1)))
    know(here, PEER, ca)
    assert "has expired or is not valid yet" in await refusal(await here.over_tls(certificate(ca, PEER)))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_client_whose_ca_no_record_has_is_told_so_by_tls(here: Head, version: ssl.TLSVersion) -> None:
    file = certificate(authority(), PEER).write(here.directory / "unknown.pem")
    context = client_context(here.identity.ca_pem, file)
    context.minimum_version = context.maximum_version = version
    with pytest.raises(ssl.SSLError, match="unknown ca"):
        await asyncio.to_thread(_exchange, here.port, context)


async def test_what_is_not_tls_is_hung_up_on_at_once(here: Head) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: head\r\n\r\n")
    with contextlib.suppress(ConnectionResetError):
        assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()


async def test_this_heads_own_certificate_makes_it_no_other_head(here: Head) -> None:
    context = client_context(here.identity.ca_pem, here.identity.certificate)
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as client,
        client.get(f"https://127.0.0.1:{here.port}{ROUTE}") as response,
    ):
        assert response.status == 403
        assert "names this head itself" in (await response.json())["reason"]


async def test_junk_and_repeated_cas_in_records_harm_nobody_else(here: Head) -> None:
    ca = authority()
    junk = "-----BEGIN CERTIFICATE-----\n" + "A" * 400 + "\n-----END CERTIFICATE-----\n"
    among(
        here,
        heads={**here.roster().heads, PEER: head(ca.pem), OTHER: head(junk + ca.pem + ca.pem), "9" * 32: head("junk")},
    )
    for uid in (PEER, OTHER):
        assert (await ask(await here.over_tls(certificate(ca, uid)), ROUTE))[0] == 200


async def test_without_the_database_known_heads_are_asked_to_come_back_later(here: Head) -> None:
    ca = authority()
    know(here, PEER, ca)
    client, before = await here.over_tls(certificate(ca, PEER)), here.roster.now
    assert (await ask(client, ROUTE))[0] == 200
    here.roster.now = Unavailable("the database is damaged")
    assert (await ask(client, ROUTE))[0] == 503
    assert (await ask(await here.over_tls(certificate(ca, PEER)), ROUTE))[0] == 503
    assert (await ask(client, "/test/public"))[0] == 200
    here.roster.now = before
    assert (await ask(client, ROUTE))[0] == 200


async def test_a_reissued_certificate_is_shown_without_a_restart(here: Head) -> None:
    context = client_context(here.identity.ca_pem)
    first = await asyncio.to_thread(_exchange, here.port, context)
    (here.directory / "state" / "head.pem").unlink()
    here.identity = here.files.open(None, datetime.now(UTC))
    second = await asyncio.to_thread(_exchange, here.port, context)
    assert first.shown != second.shown == here.identity.fingerprint


async def test_a_certificate_that_cannot_be_loaded_leaves_the_former_one_in_use(here: Head) -> None:
    here.identity = replace(here.identity, certificate=Path("/nowhere/head.pem"))
    assert (await ask(await here.over_tls(), "/test/public"))[0] == 200
    with pytest.raises(Unavailable, match="cannot load /nowhere"):
        ServerTls(here.roster, lambda: here.identity)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_resumed_session_does_not_outlive_a_removal(here: Head, version: ssl.TLSVersion) -> None:
    ca = authority()
    know(here, PEER, ca)
    context = client_context(here.identity.ca_pem, certificate(ca, PEER).write(here.directory / "resuming.pem"))
    context.minimum_version = context.maximum_version = version
    first = await asyncio.to_thread(_exchange, here.port, context)
    again = await asyncio.to_thread(_exchange, here.port, context, first.session)
    forget(here, PEER)
    last = await asyncio.to_thread(_exchange, here.port, context, first.session)
    assert [first.status, again.status, last.status] == [200, 200, 403]
    assert again.resumed is (version is ssl.TLSVersion.TLSv1_2)


async def test_old_versions_of_tls_are_refused(here: Head) -> None:
    context = client_context(here.identity.ca_pem)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        await asyncio.to_thread(_exchange, here.port, context)


@dataclass
class Exchange:
    """What came of one request on one connection."""

    status: int
    shown: str
    """The fingerprint of the server's certificate."""
    resumed: bool
    session: ssl.SSLSession | None


def _exchange(port: int, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> Exchange:
    """Blocking, since asyncio cannot resume a session."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as raw,
        context.wrap_socket(raw, session=session) as tls,
    ):
        tls.sendall(f"GET {ROUTE} HTTP/1.1\r\nHost: head\r\nConnection: close\r\n\r\n".encode())
        with tls.makefile("rb") as answer:
            status = int(answer.readline().split()[1])
            answer.read()
        der = tls.getpeercert(binary_form=True) or b""
        return Exchange(status, hashlib.sha256(der).hexdigest(), bool(tls.session_reused), tls.session)

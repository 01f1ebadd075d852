"""Heads that beat to each other over real TLS, and what must not stop them."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, MutableMapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agent.errors import Denied, Unavailable
from agent.heads.beat import Beat, encode
from agent.model import Departure, Kind, Tombstone, rfc3339
from agent.ports import Delete, Put
from agent.records.spec import plain
from tests.support.logs import log_lines
from tests.support.waiting import wait_for
from tests.support.wired import INTERVAL, SUSPECT, Wired, Wires, uid, wired

TRIO = 3
SECOND = round(1 / INTERVAL)
"""Beats in it: what has to be done within a second has so many, and as long as they take where a machine is busy."""


@pytest.fixture
async def heads(tmp_path: Path) -> AsyncIterator[list[Wired]]:
    """Three heads that hear each other."""
    async with wired(tmp_path, TRIO) as made:
        for one in made:
            for other in made:
                await wait_for(up(one, other))
        yield made


@pytest.fixture
async def visited(tmp_path: Path) -> AsyncIterator[tuple[Wired, Wired]]:
    """A head, and another that it knows whose agent does not run: each link in its name is the test's.

    A link of that agent itself would take the place of the test's, maybe before what it has sent is read.
    """
    wires = Wires(tmp_path)
    first, visitor = await wires.head(2), await wires.head(3)
    await first.know(visitor)
    async with wires.running(first), visitor.ends:
        with visitor.listener:
            yield first, visitor


def up(one: Wired, other: Wired) -> Callable[[], bool]:
    """Whether a head says of another that it is up."""
    return lambda: one.state_of(other) == "up"


@contextlib.asynccontextmanager
async def within_beats(most: float, of: Wired, to: Wired) -> AsyncIterator[None]:
    """Fail if one head beats more often to another before the block ends: a machine without time slows both."""
    before = beats_of(to, of)
    yield
    assert beats_of(to, of) - before <= most


def beats_of(here: Wired, other: Wired) -> int:
    """How many beats of another head have come."""
    return sum(beat.head == other.uid for beat in here.beats)


async def remove(here: Wired, gone: Wired) -> None:
    """What DELETE /head/<uid> does."""
    record = await here.store.get(Kind.HEAD, gone.uid)
    assert record is not None
    tombstone = Tombstone(Departure.REMOVED, rfc3339(datetime.now(UTC)), 1, ca_pem=gone.identity.ca_pem)
    await here.store.commit(
        Delete(Kind.HEAD, gone.uid, record.revision), Put(Kind.TOMBSTONE, gone.uid, plain(tombstone))
    )
    await here.registry.load()


@contextlib.asynccontextmanager
async def by_hand(at: Wired, shown: Wired) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A link that the test itself opens to a head, with another head's certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(shown.identity.certificate)
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
        session.ws_connect(f"{at.url}/api/v1/head/heartbeat", timeout=aiohttp.ClientWSTimeout(ws_close=0.1)) as link,
    ):
        yield link


async def ended(link: aiohttp.ClientWebSocketResponse) -> None:
    """Wait until the other end has closed it."""
    async with asyncio.timeout(30):
        while (await link.receive()).type not in (
            aiohttp.WSMsgType.CLOSED,
            aiohttp.WSMsgType.CLOSE,
            aiohttp.WSMsgType.ERROR,
        ):
            continue


async def test_a_head_that_says_farewell_is_down_at_once(heads: list[Wired]) -> None:
    first, second, third = heads
    async with within_beats(SUSPECT / INTERVAL, first, second):
        await third.heartbeat.farewell()
        await wait_for(lambda: first.state_of(third) == second.state_of(third) == "down")
    count = beats_of(first, third)
    await wait_for(lambda: beats_of(first, second) > count + 2)
    assert beats_of(first, third) == count


async def test_a_removal_reaches_everybody_within_a_second_and_the_removed_head_keeps_out(heads: list[Wired]) -> None:
    first, second, third = heads
    with log_lines() as lines:
        async with within_beats(SECOND, first, second):
            await remove(first, third)
            await wait_for(lambda: third.uid in second.members.tombstones)
            await wait_for(lambda: not third.registry.belongs)
    told = [line for line in lines if line["event"] == "Head no longer in its cluster"]
    assert [(line["head_uid"], line["how"]) for line in told] == [(third.uid, "removed")]
    assert third.uid not in third.members.heads
    await wait_for(lambda: first.members.digest == second.members.digest)
    counts = beats_of(first, third), beats_of(second, third)
    await third.registry.reconcile()
    seen = beats_of(first, second)
    await wait_for(lambda: beats_of(first, second) > seen + 2)
    assert (beats_of(first, third), beats_of(second, third)) == counts
    with pytest.raises(Denied) as refused:
        async with third.peers.link(first.uid):
            raise AssertionError("a removed head was let in")
    assert (refused.value.code, refused.value.data) == ("removed", {"generation": 1})


async def test_an_open_link_of_a_removed_head_is_closed_at_once(visited: tuple[Wired, Wired]) -> None:
    first, third = visited
    with log_lines() as lines:
        async with by_hand(first, third) as link:
            await link.send_bytes(encode(Beat(third.uid, "boot", 1)))
            await remove(first, third)
            assert [line["peer"] for line in lines if line["event"] == "Heartbeat link closed"] == [third.uid]
            await ended(link)


async def test_a_change_of_a_record_is_on_every_head_within_a_second(heads: list[Wired]) -> None:
    first, second, _ = heads
    async with within_beats(SECOND, first, second):
        await first.heads.patch(second.uid, {"description": "in the cellar"})
        await wait_for(lambda: all(h.members.heads[second.uid].description == "in the cellar" for h in heads))
        await wait_for(lambda: len({head.members.digest for head in heads}) == 1)


async def test_a_head_that_sends_no_beats_does_not_fill_the_journal(visited: tuple[Wired, Wired]) -> None:
    first, second = visited
    sent = 0

    async def send_no_beat() -> None:
        nonlocal sent
        async with by_hand(first, second) as link:
            await link.send_str(f"{{no beat {sent}")
            sent += 1
            await ended(link)

    def closed() -> list[str]:
        return [line["log_level"] for line in lines if "no heartbeat" in str(line.get("reason"))]

    with log_lines() as lines:
        while "warning" not in closed():
            await send_no_beat()
        for _ in range(20):
            await send_no_beat()
    assert len(closed()) == sent
    assert sorted(set(closed())) == ["debug", "warning"]
    assert closed().count("warning") == 1


async def test_a_head_with_a_newer_protocol_is_up_and_told_of_once(visited: tuple[Wired, Wired]) -> None:
    first, newer = visited
    frame = '{"head":"%s","boot":"b","seq":%d,"protocol":2,"version":"9.0","heard":"in words now","stopped":7}'
    with log_lines() as lines:
        async with by_hand(first, newer) as link:
            while first.state_of(newer) != "up" or beats_of(first, newer) < 10:
                count = beats_of(first, newer)
                await link.send_str(frame % (newer.uid, count))
                await wait_for(lambda: beats_of(first, newer) > count)  # noqa: B023  it ends before that changes
    told = [line for line in lines if line["event"] == "Head has a newer protocol"]
    assert [(line["head_uid"], line["version"], line["protocol"]) for line in told] == [(newer.uid, "9.0", 2)]


async def test_a_beat_under_another_heads_name_is_not_heard_and_ends_the_link(visited: tuple[Wired, Wired]) -> None:
    first, second = visited
    with log_lines() as lines:
        async with by_hand(first, second) as link:
            await link.send_bytes(encode(Beat(uid(4), "forged", 10**6)))
            await ended(link)
    assert not [beat for beat in first.beats if beat.boot == "forged"]
    assert f"it sent the beat of head {uid(4)}" in [line.get("reason") for line in lines]


@pytest.mark.parametrize("frame", [b"\x00garbage", b"{}", b'{"head":7}', b"[" * 5000, b"x" * 70_000])
async def test_frames_that_are_no_beats_end_the_link_and_nothing_else(heads: list[Wired], frame: bytes) -> None:
    first, second, third = heads
    async with by_hand(first, third) as link:
        await link.send_bytes(frame)
        await ended(link)
    count = beats_of(first, third)
    await wait_for(lambda: beats_of(first, third) > count)  # its own agent has linked again
    assert first.state_of(second) == "up"


async def test_bytes_that_are_no_websocket_end_the_link_and_nothing_else(heads: list[Wired]) -> None:
    first, _, third = heads
    async with by_hand(first, third) as link:
        transport = link.get_extra_info("ssl_object")
        assert transport is not None
        link._writer.transport.write(b"GET / HTTP/1.1\r\n\r\n")
        await ended(link)
    count = beats_of(first, third)
    await wait_for(lambda: beats_of(first, third) > count)


async def test_a_new_link_of_a_head_takes_the_place_of_the_old(visited: tuple[Wired, Wired]) -> None:
    first, third = visited
    async with by_hand(first, third) as older, by_hand(first, third) as newer:
        await ended(older)
        await newer.send_bytes(encode(Beat(third.uid, "newer", 1)))
        await wait_for(lambda: any(beat.boot == "newer" for beat in first.beats))


async def test_a_link_over_which_nothing_comes_is_closed(visited: tuple[Wired, Wired]) -> None:
    first, silent = visited
    with log_lines() as lines:
        async with by_hand(first, silent) as link:
            await link.send_bytes(encode(Beat(silent.uid, "boot", 1)))
            await ended(link)
    assert "no beat came for long" in [line.get("reason") for line in lines]


async def test_a_plain_request_is_told_that_it_must_be_a_websocket(heads: list[Wired]) -> None:
    first, second, _ = heads
    answer = await first.peers.ask(second.uid, "GET", "/head/heartbeat")
    assert (answer.status, answer.envelope["code"]) == (400, "not-a-websocket")
    status, envelope = await first.over_socket("GET", "/head/heartbeat")
    assert (status, envelope["code"]) == (403, "heads-only")


async def test_a_stopping_agent_ends_its_links_and_takes_no_more(heads: list[Wired]) -> None:
    first, second, third = heads
    async with by_hand(first, third) as link:
        first.links.close()
        await ended(link)
    with pytest.raises(Unavailable, match="is stopping"):
        async with second.peers.link(first.uid):
            raise AssertionError("a stopping agent took a link")


async def test_a_reissued_certificate_is_shown_on_new_links_without_a_head_being_missed(heads: list[Wired]) -> None:
    first, second, third = heads
    before = second.identity.fingerprint
    second.reissue()
    assert second.identity.fingerprint != before
    count = beats_of(first, second)
    await wait_for(lambda: beats_of(first, second) > count + 5)
    assert first.state_of(second) == third.state_of(second) == "up"
    assert (await second.peers.ask(first.uid, "GET", "/test/known-head")).data["head"] == second.uid
    assert (await first.peers.ask(second.uid, "GET", "/test/known-head")).data["head"] == first.uid


async def test_a_hung_head_holds_nobody_else_up(tmp_path: Path) -> None:
    """Its kernel takes connections, and nobody answers them."""
    wires = Wires(tmp_path)
    first, second, hung = [await wires.head(number) for number in (2, 3, 4)]
    for head in (first, second):
        await head.know(*(other for other in (first, second, hung) if other is not head))
    async with wires.running(first), wires.running(second), hung.ends:
        with hung.listener:
            await wait_for(up(first, second))
            assert first.state_of(hung) != "up"


async def test_a_link_that_the_other_end_closes_is_broken_at_once_and_opened_again(heads: list[Wired]) -> None:
    first, _, third = heads
    sends = []

    async def hold() -> None:
        async with third.peers.link(first.uid) as send, asyncio.timeout(5):
            sends.append(send)
            first.links._links[third.uid].cut()
            await asyncio.Event().wait()

    with pytest.raises(Unavailable, match="the connection broke off"):
        await hold()
    with pytest.raises(Unavailable, match="the connection broke off"):
        await sends[0](b"late")
    count = beats_of(first, third)
    await wait_for(lambda: beats_of(first, third) > count)


async def test_whatever_ends_links_is_no_bug_and_nothing_for_the_journal(tmp_path: Path) -> None:
    """Certificates that are exchanged, records that change, connections that are cut at either end or by both."""
    async with wired(tmp_path, TRIO, timeout=60) as (first, second, third):  # it would be told of at last
        with log_lines() as lines:
            for turn in range(12):
                second.reissue()
                await first.know(third, description=f"turn {turn}")
                for link in list(first.links._links.values()):
                    link._transport.close() if turn % 2 else link.cut()
                    link.cut()
                await asyncio.sleep(0.02)
            for other in (second, third):
                count = beats_of(first, other)
                await wait_for(lambda: beats_of(first, other) > count + 2)  # noqa: B023  it ends before that changes
    assert not warnings(lines)
    assert not [line for line in lines if "negative" in str(line.get("reason"))]


async def test_a_head_that_one_does_not_know_yet_is_told_to_neither_journal_before_that_lasts(tmp_path: Path) -> None:
    wires = Wires(tmp_path)
    first, second = await wires.head(2), await wires.head(3)
    await second.know(first)

    def refused() -> int:
        return sum(line["event"] == "Heartbeat link not open" for line in lines)

    async with wires.running(first), wires.running(second):
        with log_lines() as lines:
            await wait_for(lambda: len(warnings(lines)) == 2)
            tries = refused()
            await wait_for(lambda: refused() > tries)  # not in the middle of one: then it is told why it was refused
            await first.know(second)
            await wait_for(up(first, second))
        assert sorted(warnings(lines)) == ["Heartbeats do not reach a head", "Request refused"]
        levels = {line["event"]: line["log_level"] for line in reversed(lines)}
        assert (levels["Request refused"], levels["Heartbeat link not open"]) == ("debug", "debug")
        assert "Heartbeats reach a head again" in [line["event"] for line in lines if line["log_level"] == "info"]


def warnings(lines: list[MutableMapping[str, Any]]) -> list[str]:
    """What was warned of, but that the machine is busy."""
    told = [line["event"] for line in lines if line["log_level"] in ("warning", "error", "critical")]
    return [event for event in told if event != "Periodic work overran its interval"]

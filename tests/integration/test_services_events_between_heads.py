"""Following the services of another head: with a certificate, for as long as that opens it, and through X-Head."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from agent.api.streams import KEEP_ALIVE
from agent.ports import Changed, Snapshot, Unit
from tests.integration.test_heartbeat_links import remove
from tests.support.events import PATH, events, next_of, rest_of
from tests.support.http import client
from tests.support.waiting import wait_for
from tests.support.wired import Wired, wired

UNIT = Unit("clusterware-a.service", active_state="active", main_pid=7)


@pytest.fixture
async def heads(tmp_path: Path) -> AsyncIterator[list[Wired]]:
    async with wired(tmp_path, 2) as made:
        for head in made:
            head.changes.hear(Snapshot((UNIT,)))
        yield made


async def test_a_removed_heads_stream_ends_at_once(heads: list[Wired]) -> None:
    first, second = heads
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(second.identity.certificate)
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
        session.get(f"{first.url}/api/v1{PATH}") as response,
    ):
        stream = events(response)
        assert (await next_of(stream)).names == ["clusterware-a"]
        await remove(first, second)
        async with asyncio.timeout(KEEP_ALIVE / 2):  # it is not noticed with the next comment only
            (end,) = await rest_of(stream)
        assert end.name == "end"
        assert "was removed" in end.data["reason"]
        assert not len(first.streams)


async def test_an_operator_follows_another_head_through_this_one(heads: list[Wired]) -> None:
    first, second = heads
    async with client(first.socket) as http, http.get(PATH, headers={"X-Head": second.uid}) as response:
        stream = events(response)
        assert (await next_of(stream)).names == ["clusterware-a"]
        first.changes.hear(Changed(replace(UNIT, main_pid=1)))
        second.changes.hear(Changed(replace(UNIT, main_pid=2)))
        assert (await next_of(stream)).data["pid"] == 2
        assert (len(first.streams), len(second.streams)) == (1, 1)
        second.streams.close()
        assert [end.data for end in await rest_of(stream)] == [{"reason": "this agent is stopping"}]
    async with client(first.socket) as http, http.get(PATH, headers={"X-Head": second.uid}) as refused:
        assert (refused.status, (await refused.json())["code"]) == (503, "stopping")


async def test_who_goes_here_is_gone_there_too(heads: list[Wired]) -> None:
    first, second = heads
    async with client(first.socket) as http, http.get(PATH, headers={"X-Head": second.uid}) as response:
        await next_of(events(response))
    await wait_for(lambda: not len(first.streams) and not len(second.streams))


async def test_a_head_that_cannot_be_reached_is_named(heads: list[Wired]) -> None:
    first, _ = heads
    async with client(first.socket) as http, http.get(PATH, headers={"X-Head": "x" * 32}) as refused:
        assert (refused.status, (await refused.json())["code"]) == (404, "not-found")

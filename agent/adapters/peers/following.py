"""A stream of another head's, part by part."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp

from agent.adapters.peers.exchange import CONNECT, address, answer_of
from agent.adapters.peers.failures import FAILURES, why
from agent.errors import Unavailable
from agent.ports import PeerAnswer

SILENCE = 45.0
"""Seconds without a part after which a stream counts as broken: its head sends one every fifteen."""


@asynccontextmanager
async def follow(
    client: aiohttp.ClientSession, who: str, url: str, path: str, headers: Mapping[str, str]
) -> AsyncIterator[PeerAnswer | AsyncIterator[bytes]]:
    """The parts of what an agent answers at `url`, or its answer where that is JSON; raises Unavailable.

    No more is read ahead than the client library's buffer holds, 128 KiB: whoever takes the parts slowly slows the
    other head down, which then drops the reader.
    """
    given = {"Accept-Encoding": "identity", **headers}
    try:
        async with asyncio.timeout(2 * CONNECT):
            response = await client.get(address(url, path), headers=given, allow_redirects=False)
    except FAILURES as err:
        raise Unavailable(f"{who} cannot be reached at {url}: {why(err)}", code="unreachable") from err
    async with response:
        if response.content_type == "application/json":
            yield await answer_of(response, url)
        else:
            yield _parts(response, who)


async def _parts(response: aiohttp.ClientResponse, who: str) -> AsyncIterator[bytes]:
    while True:
        try:
            async with asyncio.timeout(SILENCE):
                part = await response.content.readany()
        except FAILURES as err:
            raise Unavailable(f"the stream of {who} broke: {why(err)}", code="unreachable") from err
        if not part:
            return
        yield part

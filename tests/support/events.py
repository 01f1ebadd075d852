"""A reader of Server-Sent Events, as the HTML standard (section 9.2.6) has them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import aiohttp

PATH = "/head/services/events"


class Read(NamedTuple):
    """One event."""

    name: str
    data: Any
    id: str | None

    @property
    def names(self) -> list[str]:
        """The names in a table."""
        return [row["name"] for row in self.data]


async def events(response: aiohttp.ClientResponse) -> AsyncIterator[Read]:
    """The events of a stream, until it ends; comments and `retry` are passed over."""
    fields: dict[str, str] = {}
    async for line in response.content:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name:
            fields[name] = value
        elif "data" in fields:
            yield Read(fields["event"], json.loads(fields["data"]), fields.get("id"))
            fields = {}


async def next_of(stream: AsyncIterator[Read]) -> Read:
    """The next event; fails after ten seconds."""
    async with asyncio.timeout(10):
        return await anext(stream)


async def rest_of(stream: AsyncIterator[Read]) -> list[Read]:
    """The events until the stream ends; fails after ten seconds."""
    async with asyncio.timeout(10):
        return [event async for event in stream]

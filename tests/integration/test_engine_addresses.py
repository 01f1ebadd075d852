"""Heads whose addresses change: their members go on under the new ones, and the others hear of it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.adapters.etcd.engine import HeadEngine
from agent.adapters.identity.files import IdentityFiles, Place
from agent.errors import Unavailable
from agent.model import Kind
from agent.ports import Put
from tests.support.engine_heads import CLUSTER, EngineHead, EngineHeads, held, sample


@pytest.fixture
async def heads(tmp_path: Path) -> AsyncIterator[EngineHeads]:
    made = EngineHeads(tmp_path)
    yield made
    await made.end()


async def _powered_off_and_moved(heads: EngineHeads, head: EngineHead) -> None:
    """Its machine starts again with another address, and its certificate follows."""
    await head.units.end(signal.SIGTERM)
    head.address = f"{heads.net}.{100 + len(heads.made)}"
    place = Place((), (head.address, "127.0.0.1"), (f"{head.address}:1",))
    head.identity = IdentityFiles(head.directory, head.uid, lambda: place).open(CLUSTER, datetime.now(UTC))


async def _found_where_it_is(engine: HeadEngine, head: EngineHead) -> None:
    """Have the loop turn until the members know of that head's where it is."""
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(Unavailable):
                await engine.reconcile()
                if (head.uid, head.peer_url) in [(member.head, member.peer_url) for member in await engine.members()]:
                    return


async def test_the_only_member_goes_on_and_others_find_it_where_it_is(heads: EngineHeads) -> None:
    one, two = heads.add(), heads.add()
    async with one.agent() as engine:
        await engine.store.commit(*sample(3))
        await engine.found("etcd")
        before = await held(engine)
    await _powered_off_and_moved(heads, one)

    async with one.agent() as first, two.agent() as second:
        await _found_where_it_is(first, one)

        assert await held(first) == before
        await first.store.commit(Put(Kind.REPO, "r" * 32, {"name": "r"}, "r"))
        await second.attach(await first.invite(two.uid, two.peer_url))
        assert [member.peer_url for member in await second.members()] == [one.peer_url, two.peer_url]


async def test_one_of_two_comes_back_under_its_new_address(heads: EngineHeads) -> None:
    one, two = heads.add(), heads.add()
    async with one.agent() as first, two.agent() as second:
        await first.store.commit(*sample(3))
        await first.found("etcd")
        await second.attach(await first.invite(two.uid, two.peer_url))
    await _powered_off_and_moved(heads, two)

    async with one.agent() as first, two.agent() as second:
        await _found_where_it_is(second, two)

        await second.store.commit(Put(Kind.REPO, "r" * 32, {"name": "r"}, "r"))
        assert await held(first) == await held(second)

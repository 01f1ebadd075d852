"""Several heads with one etcd: coming in, going out, and what is left when its quorum is gone."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.adapters.etcd.engine import HeadEngine
from agent.errors import Unavailable
from agent.model import Kind
from agent.ports import Put
from tests.support.engine_heads import EngineHead, EngineHeads, held, sample


@pytest.fixture
async def heads(tmp_path: Path) -> AsyncIterator[EngineHeads]:
    made = EngineHeads(tmp_path)
    yield made
    await made.end()


async def _joined(stack: contextlib.AsyncExitStack, first: HeadEngine, head: EngineHead) -> HeadEngine:
    """The engine of a head that has come into the first one's cluster."""
    engine = await stack.enter_async_context(head.agent())
    await engine.attach(await first.invite(head.uid, head.peer_url))
    return engine


def _put(number: int) -> Put:
    return Put(Kind.REPO, f"{number:032d}", {"name": f"r{number}"}, f"r{number}")


async def test_three_heads_share_one_etcd_and_one_of_them_leaves_it(heads: EngineHeads) -> None:
    one, two, three = heads.add(), heads.add(), heads.add()
    async with contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(one.agent())
        await first.store.commit(*sample(20))
        before = await held(first)
        await first.found("etcd")

        second = await _joined(stack, first, two)
        third = await _joined(stack, second, three)

        members = await first.members()
        assert [(m.head, m.voter, m.healthy) for m in members] == [(h.uid, True, True) for h in heads.made]
        assert await held(third) == before
        await third.store.commit(_put(1))
        await first.store.commit(_put(2))
        for engine in (first, second, third):  # nothing needs to be restarted for having come in
            await engine.reconcile()
        assert [head.units.starts for head in heads.made] == [1, 1, 1]

        await third.dismiss(three.uid)
        await third.found("sqlite", [record for kind in Kind for record in await first.store.records(kind)])
        assert len(await held(third)) == len(before) + 2
        assert [member.head for member in await first.members()] == [one.uid, two.uid]
        await first.store.commit(_put(3))


async def test_coming_in_again_after_a_failure_begins_anew(heads: EngineHeads) -> None:
    one, two = heads.add(), heads.add()
    async with contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(one.agent())
        await first.store.commit(*sample(1))
        await first.found("etcd")
        second = await stack.enter_async_context(two.agent())
        await second.store.commit(_put(1))
        attachment = await first.invite(two.uid, two.peer_url)
        two.units.installed = False
        with pytest.raises(Unavailable):
            await second.attach(attachment)
        assert second.kind == "sqlite"
        assert await second.store.get(Kind.REPO, f"{1:032d}")

        two.units.installed = True
        await second.attach(await first.invite(two.uid, two.peer_url))

        assert second.kind == "etcd"
        assert [member.head for member in await first.members() if member.voter] == [one.uid, two.uid]


async def test_a_rescued_head_has_all_records_and_is_alone(heads: EngineHeads) -> None:
    one, two = heads.add(), heads.add()
    async with contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(one.agent())
        await first.store.commit(*sample(20))
        await first.found("etcd")
        async with contextlib.AsyncExitStack() as others:
            await _joined(others, first, two)
            await first.store.commit(_put(1))
            before = await held(first)
            await two.units.end(signal.SIGKILL)
        async with asyncio.timeout(20):
            while first.store.problem is None:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        with pytest.raises(Unavailable):
            await first.store.commit(_put(2))

        await first.rescue()

        assert await held(first) == before
        assert [member.head for member in await first.members()] == [one.uid]
        await first.store.commit(_put(2))
    async with one.agent() as first:
        await first.reconcile()
        assert len(await held(first)) == len(before) + 1


async def test_a_head_whose_own_member_is_lost_is_rescued_from_its_copy(heads: EngineHeads) -> None:
    head = heads.add()
    async with head.agent() as engine:
        await engine.store.commit(*sample(20))
        await engine.found("etcd")
        before = await held(engine)
    await head.units.end(signal.SIGKILL)
    for file in head.directory.glob("etcd-*/member/**/*"):
        if file.is_file():
            file.write_bytes(b"damage")

    async with head.agent() as engine:
        assert await held(engine) == before  # stale, from the copy
        assert engine.store.age is not None

        await engine.rescue()

        assert await held(engine) == before
        assert engine.store.age is None

"""From one engine to another on one head, with real etcd processes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.errors import Unavailable
from agent.model import Kind
from agent.ports import Put
from tests.support.engine_heads import EngineHead, EngineHeads, held, sample


@pytest.fixture
async def heads(tmp_path: Path) -> AsyncIterator[EngineHeads]:
    made = EngineHeads(tmp_path)
    yield made
    await made.end()


@pytest.fixture
def head(heads: EngineHeads) -> EngineHead:
    return heads.add()


async def test_a_head_goes_to_etcd_and_back_with_all_its_records(head: EngineHead) -> None:
    told: list[frozenset[Kind]] = []
    async with head.agent() as engine:
        await engine.store.commit(*sample(300))
        before = await held(engine)
        revision = (await engine.store.records(Kind.IMAGE))[0].revision
        engine.store.on_change(told.append)

        await engine.found("etcd")

        assert engine.kind == engine.store.kind == "etcd"
        assert await held(engine) == before
        assert len(await engine.store.references("", 1000)) == 300
        assert frozenset(Kind) in told
        assert await engine.store.commit(Put(Kind.REPO, "a" * 32, {"name": "x"}, "x")) > revision
        assert [member.head for member in await engine.members()] == [head.uid]

        await engine.found("sqlite")

        assert engine.kind == "sqlite"
        assert len(await held(engine)) == len(before) + 1
        assert not head.units.running
        assert not (head.directory / "etcd.yaml").exists()


async def test_what_held_the_records_before_is_put_aside(head: EngineHead) -> None:
    async with head.agent() as engine:
        await engine.store.commit(*sample(1))
        await engine.found("etcd")
        await engine.found("sqlite")

    assert len(head.names("agent.db.before-etcd-*Z")) == 1
    assert len(head.names("etcd-*.before-*")) == 1


async def test_etcd_runs_on_while_the_agent_restarts(head: EngineHead) -> None:
    async with head.agent() as engine:
        await engine.store.commit(*sample(3))
        await engine.found("etcd")
        before = await held(engine)

    async with head.agent() as engine:
        await engine.reconcile()

        assert await held(engine) == before
        assert await engine.store.commit(Put(Kind.REPO, "a" * 32, {"name": "x"}, "x"))
    assert head.units.starts == 1


async def test_a_head_that_is_configured_for_etcd_goes_there_by_itself(heads: EngineHeads) -> None:
    head = heads.add("etcd")
    async with head.agent() as engine:
        await engine.store.commit(*sample(1))
        assert engine.kind == "sqlite"

        await engine.reconcile()

        assert engine.kind == "etcd"
        assert len(await held(engine)) == 2


async def test_an_etcd_that_died_is_started_again(head: EngineHead) -> None:
    async with head.agent() as engine:
        await engine.store.commit(*sample(1))
        await engine.found("etcd")
        await head.units.end(9)  # type: ignore[arg-type]  # SIGKILL

        await engine.reconcile()

        assert head.units.running
        assert await engine.store.commit(Put(Kind.REPO, "a" * 32, {"name": "x"}, "x"))


async def test_a_change_that_cannot_be_leaves_everything_as_it_was(head: EngineHead) -> None:
    head.units.installed = False
    async with head.agent() as engine:
        await engine.store.commit(*sample(3))
        before = await held(engine)

        with pytest.raises(Unavailable, match="is not installed"):
            await engine.found("etcd")

        assert engine.kind == "sqlite"
        assert await held(engine) == before
        assert await engine.store.commit(Put(Kind.REPO, "a" * 32, {"name": "x"}, "x"))

"""From one engine to another on one head, with real etcd processes."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.config import ConfigError
from agent.errors import Conflict, Unavailable
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
        await head.units.end(signal.SIGKILL)

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


async def test_without_an_etcd_to_run_a_head_stays_as_it_is_and_says_what_to_install(heads: EngineHeads) -> None:
    head = heads.add("etcd")
    head.config = replace(head.config, etcd=replace(head.config.etcd, binary=Path("/usr/bin/no-etcd")))
    async with head.agent() as engine:
        await engine.store.commit(*sample(1))
        names = head.names()

        with pytest.raises(Unavailable, match="install etcd-server"):
            await engine.reconcile()

        assert engine.kind == "sqlite"
        assert head.names() == names


async def test_attempts_that_fail_are_not_made_again_and_again(heads: EngineHeads) -> None:
    head = heads.add("etcd")
    head.units.installed = False
    async with head.agent() as engine:
        await engine.store.commit(*sample(1))
        for _ in range(3):
            with pytest.raises(Unavailable, match="is not installed"):
                await engine.reconcile()
        head.units.installed = True  # too late for now, and no attempt leaves anything behind

        with pytest.raises(Unavailable, match="is not installed"):
            await engine.reconcile()

        assert head.units.starts == 0
        await engine.found("etcd")  # an operator need not wait
        assert engine.kind == "etcd"


async def test_a_head_whose_records_are_in_etcd_does_not_start_with_a_configuration_that_forbids_it(
    head: EngineHead,
) -> None:
    async with head.agent() as engine:
        await engine.store.commit(*sample(1))
        await engine.found("etcd")
    head.configure("sqlite")

    with pytest.raises(ConfigError, match="cw-headctl leave"):
        async with head.agent():
            pass


async def test_a_head_does_not_go_where_its_configuration_would_not_let_it_start(head: EngineHead) -> None:
    head.configure("sqlite")
    async with head.agent() as engine:
        await engine.store.commit(*sample(1))

        with pytest.raises(Conflict, match=r"engine = sqlite.*set it to auto"):
            await engine.found("etcd")

        assert engine.kind == "sqlite"
    async with head.agent() as engine:
        assert head.units.starts == 0

"""An etcd of the site's own: used as it is, never started, never changed in its members."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.config.sections import Etcd as EtcdSection
from agent.errors import Conflict, Unavailable
from agent.model import Kind
from agent.ports import Put
from tests.support.engine_heads import EngineHead, EngineHeads, held, sample
from tests.support.etcd import Etcd, etcd


@pytest.fixture
def site() -> Iterator[Etcd]:
    with etcd(heartbeat=20, election=200) as running:
        yield running


@pytest.fixture
def heads(tmp_path: Path) -> EngineHeads:
    return EngineHeads(tmp_path)


def _adopts(heads: EngineHeads, site: Etcd, ca: Path | None = None) -> EngineHead:
    head = heads.add("etcd")
    head.config = replace(head.config, etcd=EtcdSection(endpoints=tuple(site.urls), ca=ca))
    return head


async def test_a_head_begins_in_it_without_a_unit(heads: EngineHeads, site: Etcd) -> None:
    head = _adopts(heads, site)
    async with head.agent() as engine:
        await engine.store.commit(*sample(5))
        before = await held(engine)

        await engine.reconcile()

        assert (engine.kind, engine.peer_url) == ("etcd", None)
        assert await held(engine) == before
        assert await engine.members() == ()
        assert await engine.objection(head.uid) is None
        with pytest.raises(Conflict, match="site's own"):
            await engine.rescue()
    async with head.agent() as engine:
        await engine.reconcile()
        assert await held(engine) == before
    assert head.units.starts == 0


async def test_a_second_head_does_not_overwrite_the_firsts_records_and_can_join(heads: EngineHeads, site: Etcd) -> None:
    one, two = _adopts(heads, site), _adopts(heads, site)
    async with one.agent() as first, two.agent() as second:
        await first.store.commit(*sample(5))
        await first.reconcile()
        await second.store.commit(*sample(1))
        before = await held(first)

        with pytest.raises(Conflict, match="join that one"):
            await second.reconcile()
        assert await held(first) == before
        assert second.kind == "sqlite"

        await second.attach(await first.invite(two.uid, two.peer_url))

        assert await held(second) == before
        await second.dismiss(two.uid)
        await second.found("sqlite")
        assert await held(second) == before
        assert await first.store.commit(Put(Kind.REPO, "a" * 32, {"name": "x"}, "x"))


async def test_a_head_without_it_in_its_configuration_is_told_so(heads: EngineHeads, site: Etcd) -> None:
    one, two = _adopts(heads, site), heads.add()
    async with one.agent() as first, two.agent() as second:
        await first.store.commit(*sample(1))
        await first.reconcile()

        with pytest.raises(Conflict, match=r"\[etcd\] endpoints"):
            await second.attach(await first.invite(two.uid, two.peer_url))
        assert second.kind == "sqlite"


async def test_a_ca_that_cannot_be_read_is_told(heads: EngineHeads, site: Etcd, tmp_path: Path) -> None:
    head = _adopts(heads, site)
    async with head.agent() as engine:
        await engine.store.commit(*sample(1))
        await engine.reconcile()
    head.config = replace(head.config, etcd=replace(head.config.etcd, ca=tmp_path / "missing.pem"))

    async with head.agent() as engine:
        assert "cannot be loaded" in str(engine.store.problem)
        with pytest.raises(Unavailable, match="cannot be loaded"):
            await engine.store.commit(Put(Kind.REPO, "a" * 32, {"name": "x"}, "x"))
        assert len(await held(engine)) == 2

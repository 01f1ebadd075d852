"""Heads beyond the voters: they have no member of their own, and use those of the others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.errors import Unavailable
from agent.model import Head, Kind
from agent.ports import Put
from tests.support.engine_heads import EngineHead, EngineHeads, sample
from tests.support.pki import authority


@pytest.fixture
async def heads(tmp_path: Path) -> AsyncIterator[EngineHeads]:
    made = EngineHeads(tmp_path)
    yield made
    await made.end()


@pytest.fixture
async def pair(heads: EngineHeads) -> tuple[EngineHead, EngineHead]:
    """A head with the one member, and one that uses it; their agents do not run."""
    one, two = heads.add(), heads.add()
    one.voters = two.voters = 1
    async with one.agent() as first, two.agent() as second:
        await first.store.commit(*sample(5))
        await first.found("etcd")
        await second.attach(await first.invite(two.uid, two.peer_url))
        assert second.peer_url is None
    return one, two


async def test_it_believes_the_cas_that_the_members_go_over_to(
    heads: EngineHeads, pair: tuple[EngineHead, EngineHead]
) -> None:
    one, two = pair
    async with one.agent() as first, two.agent() as second:
        await second.reconcile()
        former = await second.believed()
        assert former == await first.believed()
        other = authority("the next CA").pem
        for uid, head in heads.heads.items():
            heads.heads[uid] = Head(head.ssh_public, ca_pem=f"{head.ca_pem}{other}")

        await first.reconcile()
        await second.reconcile()

        believed = await second.believed()
        assert former != believed == await first.believed()
        assert (two.directory / "etcd-ca.pem").read_text() == believed
        await second.store.commit(Put(Kind.REPO, "r" * 32, {"name": "r"}, "r"))


async def test_one_whose_attempt_to_stand_in_was_cut_off_stands_in_again(pair: tuple[EngineHead, EngineHead]) -> None:
    one, two = pair
    two.voters = 2  # as if there had been two, and one had left
    async with one.agent() as first, two.agent() as second:
        in_the_way = two.directory / ".engine.json.new"
        in_the_way.mkdir()
        with pytest.raises(Unavailable, match=r"engine\.json"):  # its member runs, and nothing says so yet
            await second.reconcile()
        assert [(m.head, m.voter) for m in await first.members()] == [(one.uid, True), (two.uid, False)]
        in_the_way.rmdir()

        await second.reconcile()

        members = [(m.head, m.voter, m.healthy) for m in await first.members()]
        assert members == [(one.uid, True, True), (two.uid, True, True)]
        assert second.peer_url == two.peer_url

"""Joining a cluster that knows the head already: as a member, as one that was removed, as one registered by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.errors import Unavailable
from agent.model import Departure, Kind
from agent.ports import Put
from tests.support.moving import refusal, two
from tests.support.ssh import pair

NO_QUORUM = Unavailable("too few members are left to decide anything", code="no-quorum")


async def test_joining_twice_is_harmless(tmp_path: Path) -> None:
    first, second = await two(tmp_path)
    await second.join()
    before = first.store.revision

    assert (await second.join()).already

    assert first.store.revision == before


async def test_a_join_that_was_cut_off_after_the_record_was_written_is_repeated(tmp_path: Path) -> None:
    first, second = await two(tmp_path)
    second.failing["adopt"] = Unavailable("the disk is full")
    second.failing["DELETE /head/00000"] = Unavailable("and the network broke")
    await refusal(second)
    assert second.uid in first.registry.members.heads
    second.failing.clear()

    await second.join()

    assert first.registry.members.heads[second.uid].generation == 1


async def test_a_removed_head_joins_again_with_a_higher_generation(tmp_path: Path) -> None:
    first, second = await two(tmp_path)
    await second.join()
    await first.directory.remove(second.uid, force=True)

    joined = await second.join()

    assert not joined.already
    assert first.registry.members.heads[second.uid].generation == 2
    assert second.uid not in first.registry.members.tombstones


async def test_a_head_that_was_registered_by_hand_completes_its_record(tmp_path: Path) -> None:
    first, second = await two(tmp_path)
    await first.directory.register({"uid": second.uid, "ssh_public": pair("ed25519", 2).public, "description": "two"})

    await second.join()

    record = first.registry.members.heads[second.uid]
    assert (record.key_sha256, record.generation) == (second.credentials.key_sha256, 1)


async def test_of_two_that_removed_each_other_the_one_that_lets_the_other_in_is_not_told_that_it_is_gone(
    tmp_path: Path,
) -> None:
    first, second = await two(tmp_path)
    await second.join()
    await first.directory.remove(second.uid, force=True)
    await second.directory.remove(first.uid, force=True)
    alone = await second.shape()
    host = second.door.host
    assert host is not None
    admit, told = host.admission.admit, []

    async def knocked(asked: Any) -> Any:
        told.append(first.uid in second.registry.members.tombstones)
        return await admit(asked)

    second.door.knocked = knocked
    first.failing["certify"] = NO_QUORUM
    await refusal(second)
    assert await second.shape() == alone
    assert first.uid in second.registry.members.tombstones, "a failure leaves everything as it was"
    first.failing.clear()

    joined = await second.join()

    assert told == [False, False]
    assert await second.shape() == await first.shape() == (joined.cluster, [first.uid, second.uid], "CA of 01")
    assert second.registry.members.tombstones == {}


@pytest.mark.parametrize("engine", ["sqlite", "etcd"])
async def test_a_removed_head_that_knows_it_joins_again(tmp_path: Path, engine: str) -> None:
    first, second = await two(tmp_path)
    first.engine.name = first.store.kind = engine
    second.engine.shared = first.store
    await second.join()
    await second.store.commit(Put(Kind.IMAGE, "a" * 32, {"name": "the cluster's"}, "the cluster's"))
    await first.directory.remove(second.uid, force=True)
    await second.registry.learn_departure(Departure.REMOVED, 1)
    assert second.uid not in second.registry.members.heads

    await second.join()

    assert await second.shape() == await first.shape()
    assert second.registry.belongs
    assert await second.backups.listing() == []


async def test_a_removed_head_that_cannot_come_back_stays_out(tmp_path: Path) -> None:
    first, second = await two(tmp_path)
    first.engine.name = first.store.kind = "etcd"
    second.engine.shared = first.store
    await second.join()
    await first.directory.remove(second.uid, force=True)
    second.peers.away[first.uid] = "a firewall"

    await refusal(second)

    assert second.done.count("found") == 0
    assert list(first.registry.members.heads) == [first.uid]


async def test_a_member_whose_database_was_left_behind_is_no_member_yet(tmp_path: Path) -> None:
    first, second = await two(tmp_path)
    first.engine.name = first.store.kind = "etcd"
    second.engine.shared = first.store
    await second.join()
    second.store.age = 5.0
    second.failing["adopt"] = NO_QUORUM

    with pytest.raises(Unavailable, match="at the step 'take over the certificate'"):
        await second.join()

    assert second.uid in first.registry.members.heads


async def test_a_member_that_cannot_be_taken_in_anew_stays_a_member(tmp_path: Path) -> None:
    first, second = await two(tmp_path)
    await second.join()
    first.admission.proved(second.uid)
    before = await first.shape()
    second.store.age = 5.0  # it does not reach the database, so its operator has it join again
    first.failing["invite"] = Unavailable("the database takes no change of its members", code="unhealthy")

    assert (await refusal(second)).code == "unhealthy"

    assert await first.shape() == before
    assert await first.store.records(Kind.TOMBSTONE) == []

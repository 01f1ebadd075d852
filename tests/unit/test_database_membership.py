"""Leaving: what stands against it, in which order it is done, and that an interrupted one is ended."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from typing_extensions import override

from agent.errors import AgentError, Conflict, Unavailable
from agent.model import Departure, Kind
from agent.ports import Change, Put
from tests.support.memory_store import MemoryStore
from tests.support.moving import MovingHead
from tests.support.ssh import pair
from tests.support.waiting import wait_for

STRANGER = "f" * 32


class SlowStore(MemoryStore):
    """The burial of a head is committed only after what brings the store to revision `until`."""

    until = 0

    @override
    async def commit(self, *changes: Change) -> int:
        """Apply all changes or none."""
        if any(change.kind is Kind.TOMBSTONE and isinstance(change, Put) for change in changes):
            await wait_for(lambda: self.revision >= self.until)
        return await super().commit(*changes)


async def cluster(directory: Path, size: int, store: MemoryStore | None = None) -> list[MovingHead]:
    """Heads that have joined one after the other, the last of which everybody knows, and may have this store."""
    stores = [MemoryStore() for _ in range(size - 1)] + [store or MemoryStore()]
    heads = [await MovingHead(n + 1, directory / str(n), store=stores[n]).start() for n in range(size)]
    for n, newcomer in enumerate(heads[1:], 1):
        newcomer.meets(*heads[:n])
        await newcomer.join()
        for other in heads[1:n]:
            await other.store.commit(
                *(Put(r.kind, r.uid, r.body) for r in await heads[0].store.records(Kind.HEAD)),
            )
            await other.registry.load()
    for head in heads:
        head.meets(*[other for other in heads if other is not head] or [head])
    return heads


async def refused(head: MovingHead) -> AgentError:
    """Why it cannot leave; nothing is changed by that."""
    before = head.store.revision
    with pytest.raises(AgentError) as refusal:
        await head.membership.leave()
    assert (head.store.revision, head.note.content) == (before, None)
    return refusal.value


async def test_a_head_alone_cannot_leave(tmp_path: Path) -> None:
    assert (await refused(await MovingHead(1, tmp_path).start())).code == "alone"


async def test_records_registered_by_hand_are_no_cluster_to_leave(tmp_path: Path) -> None:
    head = await MovingHead(1, tmp_path).start()
    await head.directory.register({"uid": STRANGER, "ssh_public": pair("ed25519").public})

    refusal = await refused(head)

    assert refusal.code == "never-joined"
    assert "1 other head" in refusal.reason


async def test_without_the_database_the_answer_is_not_a_guess(tmp_path: Path) -> None:
    head = MovingHead(1, tmp_path, store=MemoryStore(problem="it is damaged"))
    with pytest.raises(Unavailable):
        await head.membership.leave()


async def test_a_head_stays_that_the_others_need_for_their_quorum(tmp_path: Path) -> None:
    _, second, _ = await cluster(tmp_path, 3)
    second.engine.against = "the remaining members would lose quorum"

    refusal = await refused(second)

    assert (type(refusal), refusal.code) == (Conflict, "quorum")
    assert "lose quorum" in refusal.reason


async def test_it_leaves_with_its_objects_and_the_others_know(tmp_path: Path) -> None:
    first, second, third = await cluster(tmp_path, 3)
    await second.store.commit(Put(Kind.IMAGE, "a" * 32, {"name": "mine"}, "mine"))
    former = first.registry.members.cluster

    left = await second.membership.leave()

    assert (left.left, left.remaining) == (second.uid, (first.uid, third.uid))
    shape = await second.shape()
    assert shape == (left.cluster, [second.uid], f"CA 1 of {left.cluster}")
    assert left.cluster != former
    assert [record.name for record in await second.store.records(Kind.IMAGE)] == ["mine"]
    for other in (first, third):
        assert second.uid not in other.registry.members.heads
        assert other.registry.members.tombstones[second.uid].departure is Departure.LEFT
    assert len(await second.backups.listing()) == 1
    assert [step.result for step in left.steps].count("failed") == 0


async def test_repeated_afterwards_there_is_nothing_to_do(tmp_path: Path) -> None:
    _, second = await cluster(tmp_path, 2)
    left = await second.membership.leave()
    before = second.store.revision

    again = await second.membership.leave()

    assert (again.cluster, again.remaining, again.steps) == (left.cluster, (), [])
    assert second.store.revision == before


async def test_who_cannot_be_told_hears_of_it_from_the_others(tmp_path: Path) -> None:
    first, second, third = await cluster(tmp_path, 3)
    second.peers.away[third.uid] = "off"

    left = await second.membership.leave()

    told = {step.step: step.result for step in left.steps}["tell the other heads"]
    assert told == "1 of 2: these will tell the others"
    assert second.uid in first.registry.members.tombstones


async def test_when_nobody_can_be_told_the_answer_says_what_to_do(tmp_path: Path) -> None:
    first, second = await cluster(tmp_path, 2)
    second.peers.away[first.uid] = "off"

    left = await second.membership.leave()

    assert f"DELETE /head/{second.uid}" in {step.step: step.result for step in left.steps}["tell the other heads"]


async def test_a_shared_database_is_left_through_one_other_head(tmp_path: Path) -> None:
    first, second, third = await cluster(tmp_path, 3)
    second.engine.name = "etcd"

    left = await second.membership.leave()

    assert {step.step: step.result for step in left.steps}["tell the other heads"] == f"done: by {first.uid}, for all"
    assert second.engine.dismissed == [second.uid]
    assert second.engine.kind == "sqlite"
    assert await second.shape() == (left.cluster, [second.uid], f"CA 1 of {left.cluster}")
    assert third.registry.members.tombstones == {}  # it shares the database in which the first one wrote it


async def test_a_shared_database_is_not_left_behind_everybodys_back(tmp_path: Path) -> None:
    first, second = await cluster(tmp_path, 2)
    second.engine.name = "etcd"
    second.peers.away[first.uid] = "off"

    with pytest.raises(Unavailable, match="no other head could be told"):
        await second.membership.leave()

    assert second.engine.dismissed == []
    assert second.uid in first.registry.members.heads


@pytest.mark.parametrize("word", ["note", "dismiss", "begin", "found", "settle", "clear"])
async def test_what_failed_in_the_middle_is_ended_by_asking_again(tmp_path: Path, word: str) -> None:
    first, second = await cluster(tmp_path, 2)
    second.engine.name = "etcd"
    second.failing[word] = Unavailable("the disk is full")
    with pytest.raises(Unavailable, match="the disk is full"):
        await second.membership.leave()
    second.failing.clear()

    left = await second.membership.leave()

    assert await second.shape() == (left.cluster, [second.uid], second.credentials.ca)
    assert second.credentials.ca.endswith(left.cluster)
    assert second.note.content is None
    assert second.uid in first.registry.members.tombstones


async def test_the_next_start_ends_it_by_itself_and_never_fails(tmp_path: Path) -> None:
    _, second = await cluster(tmp_path, 2)
    await second.membership.resume()
    assert len(second.registry.members.heads) == 2
    second.failing["begin"] = Unavailable("the disk is full")
    with pytest.raises(Unavailable):
        await second.membership.leave()
    await second.membership.resume()
    assert second.note.content is not None
    second.failing.clear()

    await second.membership.resume()

    assert (await second.shape())[1] == [second.uid]
    assert second.note.content is None


async def test_a_head_that_was_removed_can_leave_too(tmp_path: Path) -> None:
    first, second = await cluster(tmp_path, 2)
    await first.directory.remove(second.uid, force=True)
    await second.registry.learn_departure(Departure.REMOVED, 1)

    left = await second.membership.leave()

    assert await second.shape() == (left.cluster, [second.uid], second.credentials.ca)
    assert second.registry.belongs


async def test_word_from_the_others_that_it_left_does_no_harm_whenever_it_comes(tmp_path: Path) -> None:
    """It is told when its beats are refused, and that may be at any step of the leave."""
    for commits in range(3):
        store = SlowStore()
        _, second = await cluster(tmp_path / str(commits), 2, store)
        store.until = store.revision + commits
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            group.create_task(second.registry.learn_departure(Departure.LEFT, 1))
            leave = group.create_task(second.membership.leave())
        left = leave.result()
        assert await second.shape() == (left.cluster, [second.uid], second.credentials.ca)
        assert second.registry.members.tombstones == {}
        assert second.registry.belongs


async def test_one_that_left_joins_again_with_a_higher_generation(tmp_path: Path) -> None:
    first, second = await cluster(tmp_path, 2)
    await second.membership.leave()

    await second.join()

    assert await second.shape() == await first.shape()
    assert first.registry.members.heads[second.uid].generation == 2


async def test_one_that_was_removed_leaves_without_the_engine_that_it_is_out_of(tmp_path: Path) -> None:
    first, second = await cluster(tmp_path, 2)
    second.engine.name = "etcd"
    second.engine.against = "there is no quorum"
    await first.directory.remove(second.uid, force=True)

    left = await second.membership.leave()

    assert second.engine.dismissed == []
    assert await second.shape() == (left.cluster, [second.uid], second.credentials.ca)

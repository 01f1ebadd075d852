"""Members that are killed, frozen and lost, under a store that goes on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent.adapters.clock import SystemClock
from agent.adapters.etcd.store import EtcdStore
from agent.errors import Unavailable
from agent.model import Kind
from agent.ports import Put
from tests.support.etcd import Etcd, EtcdMember, etcd
from tests.support.waiting import wait_for

A, B = "a" * 32, "b" * 32
ALL = frozenset(Kind)


@pytest.fixture
def usual() -> Iterator[Etcd]:
    """Three members over mutual TLS, with the timing that the agent gives them."""
    with etcd(3, tls=True) as cluster:
        yield cluster


@pytest.fixture
def plain() -> Iterator[Etcd]:
    """The same without TLS: asyncio keeps a TLS connection to a frozen peer for half a minute."""
    with etcd(3) as cluster:
        yield cluster


@pytest.fixture
def three() -> Iterator[Etcd]:
    """Three members that elect a leader at once, for what is not about time."""
    with etcd(3, heartbeat=50, election=300) as cluster:
        yield cluster


@asynccontextmanager
async def opened(
    cluster: Etcd, preferred: EtcdMember, owner: str, root: str, copy: Path | None = None
) -> AsyncIterator[EtcdStore]:
    """A head's store, whose own member is `preferred`."""
    client = cluster.client(sorted(cluster.urls, key=lambda url: url != preferred.url))
    try:
        async with EtcdStore.open(client, owner, SystemClock(), copy, root=root) as store:
            yield store
    finally:
        await client.close()


async def roles(cluster: Etcd) -> tuple[EtcdMember, EtcdMember, EtcdMember]:
    """The leader, and the two others."""
    client = cluster.client()
    try:
        leader = await cluster.leader(client)
    finally:
        await client.close()
    first, second = (member for member in cluster.members if member is not leader)
    return leader, first, second


@dataclass
class Writer:
    """Creates one record after the other, and notes when each was answered."""

    store: EtcdStore
    times: list[float] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    enough: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        number = 0
        self.times.append(time.monotonic())
        while not self.enough.is_set():
            number += 1
            uid = f"{number:032}"
            try:
                await self.store.commit(Put(Kind.IMAGE, uid, {}))
            except Unavailable:
                continue
            self.times.append(time.monotonic())
            self.written.append(uid)
            await asyncio.sleep(0.005)

    @property
    def gap(self) -> float:
        """The longest time without a write."""
        return max(after - before for before, after in zip(self.times, self.times[1:], strict=False))

    async def more(self, writes: int = 50) -> None:
        """Wait for so many further writes."""
        before = len(self.times)
        await wait_for(lambda: len(self.times) >= before + writes)


async def test_when_the_leader_is_killed_no_answered_write_is_lost(usual: Etcd) -> None:
    leader, follower, _ = await roles(usual)
    async with opened(usual, follower, A, "/leader/") as store:
        writer = Writer(store)
        async with asyncio.TaskGroup() as group:
            group.create_task(writer.run())
            await writer.more()
            leader.kill()
            await writer.more()
            writer.enough.set()
        kept = {record.uid for record in await store.records(Kind.IMAGE)}
    assert set(writer.written) <= kept
    assert writer.gap <= 3.0


async def test_when_the_leader_is_frozen_no_answered_write_is_lost_or_made_twice(plain: Etcd) -> None:
    leader, follower, _ = await roles(plain)
    async with opened(plain, follower, A, "/hung/") as store:
        writer = Writer(store)
        async with asyncio.TaskGroup() as group:
            group.create_task(writer.run())
            await writer.more()
            leader.freeze()
            await writer.more()
            leader.thaw()
            await writer.more()
            writer.enough.set()
        kept = [record.uid for record in await store.records(Kind.IMAGE)]
    assert set(writer.written) <= set(kept)
    assert writer.gap <= 3.0


async def test_a_frozen_member_is_left_within_moments(plain: Etcd) -> None:
    _, follower, _ = await roles(plain)
    async with opened(plain, follower, A, "/frozen/") as store, asyncio.TaskGroup() as group:
        writer = Writer(store)
        group.create_task(writer.run())
        await writer.more()
        follower.freeze()
        await writer.more()
        writer.enough.set()
    assert writer.gap <= 1.5


async def test_what_others_write_is_seen_through_a_frozen_member_and_after(three: Etcd) -> None:
    _, follower, healthy = await roles(three)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(opened(three, follower, A, "/watch/"))
        other = await stack.enter_async_context(opened(three, healthy, B, "/watch/"))
        told: list[frozenset[Kind]] = []
        store.on_change(told.append)
        follower.freeze()
        await other.commit(Put(Kind.REPO, A, {}))
        await wait_for(lambda: frozenset({Kind.REPO}) in told, seconds=3)
        assert store.age is None
        follower.thaw()
        await other.commit(Put(Kind.BOOTCONFIG, A, {}))
        await wait_for(lambda: frozenset({Kind.BOOTCONFIG}) in told, seconds=3)


async def test_without_a_quorum_reads_are_marked_and_commits_refused_until_it_is_back(
    three: Etcd, tmp_path: Path
) -> None:
    leader, follower, other = await roles(three)
    copy = tmp_path / "copy.db"
    async with opened(three, follower, A, "/quorum/", copy) as store:
        last = await store.commit(Put(Kind.IMAGE, A, {"v": 1}, "x", references=["f"]))
        told: list[frozenset[Kind]] = []
        store.on_change(told.append)
        for member in (leader, other):
            member.kill()
        await wait_for(lambda: ALL in told)
        assert store.age is not None
        assert 3 <= store.age < 8
        assert store.problem is not None
        assert "quorum" in store.problem
        assert await store.find(Kind.IMAGE, "x") is not None
        with pytest.raises(Unavailable) as refused:
            await store.commit(Put(Kind.IMAGE, B, {}))
        assert refused.value.code == "no-quorum"
        assert "database recover" in refused.value.reason

    async with opened(three, follower, A, "/quorum/", copy) as store:  # an agent that starts without a quorum
        assert store.age is not None
        record = await store.get(Kind.IMAGE, A)
        assert record is not None
        assert (record.revision, record.body) == (last, {"v": 1})
        assert await store.references("", 10) == ["f"]
        told = []
        store.on_change(told.append)
        three.start(leader, state="existing")
        await wait_for(lambda: store.age is None)
        assert await store.get(Kind.IMAGE, A) == record
        assert await store.commit(Put(Kind.IMAGE, B, {})) > last
        assert ALL in told
        assert store.problem is None


async def test_without_a_quorum_and_without_a_copy_nothing_is_made_up(three: Etcd) -> None:
    leader, follower, other = await roles(three)
    for member in (leader, other):
        member.kill()
    async with opened(three, follower, A, "/nothing/") as store:
        for reading in (store.get(Kind.IMAGE, A), store.records(Kind.IMAGE), store.references("", 1)):
            with pytest.raises(Unavailable) as refused:
                await reading
            assert refused.value.code == "no-quorum"
        assert store.problem is not None


async def test_members_that_do_not_answer_and_the_same_records_everywhere_are_checked(three: Etcd) -> None:
    _, follower, other = await roles(three)
    async with opened(three, follower, A, "/check/") as store:
        await store.commit(Put(Kind.IMAGE, A, {}))
        assert await store.check() == []
        other.kill()
        assert await store.check() == [f"member {other.name} does not answer"]


async def test_without_a_quorum_the_reason_is_told_at_any_moment_and_once(three: Etcd) -> None:
    told: list[str | None] = []
    async with opened(three, three.members[0], A, "/reason/") as store:
        for member in three.members:
            member.kill()
        await wait_for(lambda: store.age is not None)
        begun = time.monotonic()

        def longer_than_one_question_lasts() -> bool:
            told.append(store.problem)
            return time.monotonic() - begun > 3

        await wait_for(longer_than_one_question_lasts)

    for reason in told:
        assert reason is not None
        assert reason.count("cannot reach a quorum") == 1
        assert "none has answered yet" not in reason

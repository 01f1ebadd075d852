"""One store for everybody, whichever engine is in force."""

from __future__ import annotations

import asyncio

import pytest
from typing_extensions import override

from agent.adapters.store import CurrentStore
from agent.errors import Unavailable
from agent.model import Kind, Record
from agent.ports import Change, Put
from tests.support.memory_store import MemoryStore


def _put(number: int) -> Put:
    return Put(Kind.REPO, f"{number:032d}", {"name": f"r{number}"}, f"r{number}")


async def test_after_a_switch_everybody_reads_and_writes_the_other_engine() -> None:
    old, new = MemoryStore(), MemoryStore()
    store = CurrentStore(old)
    await store.commit(_put(1))

    store.switch(new)
    await store.commit(_put(2))

    assert [record.name for record in await store.records(Kind.REPO)] == ["r2"]
    assert [record.name for record in await old.records(Kind.REPO)] == ["r1"]


async def test_who_wanted_to_know_of_changes_still_does_and_of_every_kind_at_the_switch() -> None:
    old, new = MemoryStore(), MemoryStore()
    store = CurrentStore(old)
    told: list[frozenset[Kind]] = []
    store.on_change(told.append)

    store.switch(new)
    await store.commit(_put(1))
    await old.commit(_put(2))  # nobody's business any more

    assert told == [frozenset(Kind), frozenset({Kind.REPO})]


async def test_a_head_that_is_barred_reads_and_writes_nothing() -> None:
    store = CurrentStore(MemoryStore())
    await store.commit(_put(1))
    store.barred = lambda: "this head was removed"

    with pytest.raises(Unavailable, match="was removed") as refused:
        await store.commit(_put(2))

    assert refused.value.code == "removed"
    assert [record.name for record in await store.records(Kind.REPO)] == ["r1"]


async def test_switching_back_tells_each_change_once() -> None:
    one, other = MemoryStore(), MemoryStore()
    store = CurrentStore(one)
    store.switch(other)
    store.switch(one)
    told: list[frozenset[Kind]] = []
    store.on_change(told.append)

    await store.commit(_put(1))

    assert told == [frozenset({Kind.REPO})]


class SlowStore(MemoryStore):
    """A store whose commits wait for `go`."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()
        self.began = asyncio.Event()

    @override
    async def commit(self, *changes: Change) -> int:
        self.began.set()
        await self.go.wait()
        return await super().commit(*changes)


async def test_a_change_of_engines_waits_for_commits_under_way_and_later_ones_wait_for_it() -> None:
    old, new = SlowStore(), MemoryStore()
    store = CurrentStore(old)
    moved: list[Record] = []

    async def move() -> None:
        async with store.still():
            moved.extend(await old.records(Kind.REPO))
            await new.commit(*(Put(r.kind, r.uid, r.body, r.name) for r in moved))
            store.switch(new)

    async with asyncio.TaskGroup() as group:
        group.create_task(store.commit(_put(1)))
        await old.began.wait()
        group.create_task(move())
        await asyncio.sleep(0)
        group.create_task(store.commit(_put(2)))
        await asyncio.sleep(0)
        old.go.set()

    assert [record.name for record in moved] == ["r1"]
    assert [record.name for record in await store.records(Kind.REPO)] == ["r1", "r2"]


async def test_two_changes_at_once_are_refused() -> None:
    store = CurrentStore(MemoryStore())
    async with store.still():
        with pytest.raises(Unavailable, match="being moved"):
            async with store.still():
                pass

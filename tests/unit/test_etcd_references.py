"""The index of the filenames that records in etcd refer to."""

from __future__ import annotations

import asyncio

from agent.adapters.etcd.references import ReferenceIndex


async def test_who_asks_while_a_new_name_is_sorted_in_for_another_hears_of_it() -> None:
    index = ReferenceIndex()
    index.add(["b"])
    assert await index.after("", 10) == ["b"]
    index.add(["a"])
    first = asyncio.create_task(index.after("", 10))
    await asyncio.sleep(0)
    assert not first.done()
    assert await index.after("", 10) == ["a", "b"]
    assert await first == ["a", "b"]


async def test_who_asks_while_another_gives_up_hears_of_it_all_the_same() -> None:
    index = ReferenceIndex()
    index.add(["b"])
    first = asyncio.create_task(index.after("", 10))
    await asyncio.sleep(0)
    index.remove(["b"])
    index.add(["a"])
    second = asyncio.create_task(index.after("", 10))
    first.cancel()
    assert await second == ["a"]

"""Streams of sorted filenames made one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Unavailable
from agent.files.merging import merged
from agent.ports import walk_key

NAMES = st.text("ab/!é", min_size=1, max_size=4)


async def stream(names: Sequence[str], size: int) -> AsyncIterator[Sequence[str]]:
    """In walk order, some at a time."""
    ordered = sorted(set(names), key=walk_key)
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]


@given(st.lists(st.tuples(st.lists(NAMES), st.integers(1, 4)), max_size=5))
async def test_all_names_of_all_streams_come_once_and_in_walk_order(streams: list[tuple[list[str], int]]) -> None:
    batches = [batch async for batch in merged([stream(names, size) for names, size in streams])]
    assert all(batches)
    everything = {name for names, _ in streams for name in names}
    assert [name for batch in batches for name in batch] == sorted(everything, key=walk_key)


async def test_no_more_than_one_block_of_each_stream_is_at_hand() -> None:
    read: list[int] = []

    async def counted(start: int) -> AsyncIterator[Sequence[str]]:
        for n in range(start, start + 100):
            read.append(start)
            yield [f"{n:04d}"]

    most = 0
    async for batch in merged([counted(0), counted(50), counted(1000)]):
        most = max(most, len(batch))
        assert read.count(1000) <= 1 or batch[0] >= "0149"
    assert most == 1
    assert len(read) == 300


async def test_a_stream_that_fails_ends_all() -> None:
    async def failing() -> AsyncIterator[Sequence[str]]:
        yield ["b"]
        raise Unavailable("away")

    batches = merged([stream("abcdef", 2), failing()])
    assert await anext(batches) == ["a", "b"]
    with pytest.raises(Unavailable, match="away"):
        await anext(batches)

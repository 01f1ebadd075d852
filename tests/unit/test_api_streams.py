"""Another head's stream, passed on."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from agent.api.streams import LARGEST, whole
from agent.errors import Unavailable


async def sent(*parts: bytes) -> AsyncIterator[bytes]:
    """What the other head sends."""
    for part in parts:
        yield part


async def test_it_is_cut_where_events_end_however_it_comes() -> None:
    text = b"event: one\n\nevent: two\n\n: still here\n\nevent: thr"
    by_bytes = [chunk async for chunk in whole(sent(*(text[i : i + 1] for i in range(len(text)))))]
    assert by_bytes == [b"event: one\n\n", b"event: two\n\n", b": still here\n\n"]
    assert [chunk async for chunk in whole(sent(text))] == [b"event: one\n\nevent: two\n\n: still here\n\n"]


async def test_one_that_never_ends_an_event_is_given_up() -> None:
    with pytest.raises(Unavailable):
        assert [chunk async for chunk in whole(sent(b"x" * LARGEST, b"y"))] == []

"""A link that breaks at the moment at which whoever holds it is cancelled, or is done with it."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest

from agent.errors import Unavailable
from tests.support.wired import Wired, wired


async def test_a_cancellation_is_not_lost_when_the_link_breaks_at_the_same_time(tmp_path: Path) -> None:
    async with wired(tmp_path, 2) as (first, second):
        held = asyncio.Event()

        async def hold() -> None:
            async with first.peers.link(second.uid):
                held.set()
                await asyncio.Event().wait()

        others = asyncio.all_tasks()
        holder = asyncio.create_task(hold())
        await held.wait()
        (await watch_of(others)).add_done_callback(lambda _: holder.cancel())
        cut(second)
        with pytest.raises(asyncio.CancelledError):
            await holder


async def test_a_link_that_breaks_while_it_is_given_up_leaves_no_cancellation_behind(tmp_path: Path) -> None:
    """Such a rest would end the next wait of whoever held it, and with it the beats to that head, for good."""
    async with wired(tmp_path, 2) as (first, second):
        others = asyncio.all_tasks()

        async def hold() -> int:
            task = asyncio.current_task()
            assert task is not None
            with contextlib.suppress(Unavailable):
                async with first.peers.link(second.uid):
                    watch = await watch_of({*others, task})
                    cut(second)
                    while not watch.done():  # noqa: ASYNC110  to be there before whoever follows it is
                        await asyncio.sleep(0)
            return task.cancelling()

        async with asyncio.timeout(10):
            assert await asyncio.create_task(hold()) == 0


async def watch_of(others: set[asyncio.Task[Any]]) -> asyncio.Task[Any]:
    """The task that waits for the end of the only link that others do not have."""
    await asyncio.sleep(0)
    (watch,) = (t for t in asyncio.all_tasks() - others if getattr(t.get_coro(), "__name__", "") == "_watch")
    return watch


def cut(head: Wired) -> None:
    """Cut the links that others have to a head."""
    for link in list(head.links._links.values()):
        link.cut()

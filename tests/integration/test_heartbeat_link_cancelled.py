"""A link that breaks at the moment at which whoever holds it is cancelled."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.wired import wired


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
        await asyncio.sleep(0)
        (watch,) = (t for t in asyncio.all_tasks() - others if getattr(t.get_coro(), "__name__", "") == "_watch")
        watch.add_done_callback(lambda _: holder.cancel())
        for link in list(second.links._links.values()):
            link.cut()
        with pytest.raises(asyncio.CancelledError):
            await holder

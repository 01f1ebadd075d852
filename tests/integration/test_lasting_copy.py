"""The copy of the records on disk: who closes it has it left alone, however late its thread is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from typing_extensions import override

from agent.adapters.clock import SystemClock
from agent.adapters.etcd.cache import Cache
from agent.adapters.etcd.client import EtcdClient
from agent.adapters.etcd.keys import Layout
from agent.adapters.etcd.lasting import LastingCopy
from agent.adapters.etcd.pulse import Pulse
from agent.adapters.etcd.watch import Follower
from agent.adapters.sqlite.archive import Row
from tests.support.waiting import wait_for


class SlowCache(Cache):
    """Its rows come once they may."""

    def __init__(self) -> None:
        super().__init__()
        self.revision = self.changes = 1
        self.asked, self.may = threading.Event(), threading.Event()

    @override
    def rows(self) -> Iterator[Row]:
        """None at all, and late."""

        def late() -> Iterator[Row]:
            self.asked.set()
            self.may.wait()
            yield from ()

        return late()


async def test_a_copy_whose_closing_is_cancelled_is_left_alone_all_the_same(tmp_path: Path) -> None:
    cache, clock = SlowCache(), SystemClock()
    client = EtcdClient(("http://127.0.0.1:1",), lambda: None, clock)
    follower = Follower(client, Layout(), cache, lambda _kinds: None)
    pulse = Pulse(client, Layout(), cache, follower, clock, lambda _kinds: None)
    copy = LastingCopy(tmp_path / "copy.db", cache, pulse, clock)
    async with asyncio.TaskGroup() as group:
        closing = group.create_task(copy.close())
        await wait_for(cache.asked.is_set)
        for _ in range(2):
            closing.cancel()
            await asyncio.sleep(0)
        waited = not closing.done()
        cache.may.set()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert waited
        assert [path.name for path in tmp_path.iterdir()] == ["copy.db"]
    await client.close()

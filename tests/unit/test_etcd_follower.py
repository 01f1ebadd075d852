"""The follower of etcd's changes, left for another member by several at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from agent.adapters.etcd.cache import Cache
from agent.adapters.etcd.client import EtcdClient
from agent.adapters.etcd.endpoints import Endpoints
from agent.adapters.etcd.keys import Layout
from agent.adapters.etcd.watch import Follower
from agent.adapters.etcd.wire import Header, Ranged
from tests.support.clock import StillClock
from tests.support.waiting import wait_for


class SilentEtcd:
    """An etcd that holds nothing, and whose watches never say anything."""

    def __init__(self) -> None:
        self.endpoints = Endpoints(["http://one"], StillClock())
        self.on_failure: Any = None
        self.watches = 0

    async def range(self, *_: Any, **__: Any) -> Ranged:
        """Nothing, as of revision 1."""
        return Ranged(Header(revision=1))

    @asynccontextmanager
    async def stream(self, *_: Any) -> AsyncIterator[AsyncIterator[bytes]]:
        """A watch."""
        self.watches += 1
        yield self._silence()

    async def _silence(self) -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""


async def test_whoever_finds_that_the_watch_is_behind_may_say_so_while_it_is_being_left_for_that() -> None:
    etcd = SilentEtcd()
    follower = Follower(cast("EtcdClient", etcd), Layout("/a/"), Cache(), lambda _kinds: None)
    following = asyncio.create_task(follower.run())
    await wait_for(lambda: etcd.watches == 1)
    follower.move()
    for _ in range(5):  # a commit and the question of every second notice it at the same time
        await asyncio.sleep(0)
        follower.move()
    await wait_for(lambda: etcd.watches == 2)
    following.cancel()
    with pytest.raises(asyncio.CancelledError):
        await following

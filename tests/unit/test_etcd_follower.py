"""The follower of etcd's changes: left for another member by several at once, and where somebody else wrote."""

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
from agent.adapters.etcd.wire import Header, KeyValue, Ranged
from tests.support.clock import StillClock
from tests.support.logs import log_lines
from tests.support.waiting import wait_for


class SilentEtcd:
    """An etcd that holds nothing, and whose watches never say anything."""

    def __init__(self) -> None:
        self.endpoints = Endpoints(["http://one"], StillClock())
        self.on_failure: Any = None
        self.watches = 0
        self.keys: tuple[KeyValue, ...] = ()
        """What it holds after all, whatever it is asked for."""

    async def range(self, *_: Any, **__: Any) -> Ranged:
        """What it holds as of revision 1."""
        return Ranged(Header(revision=1), self.keys)

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


async def test_a_generation_that_somebody_else_wrote_is_told_and_does_not_end_the_agent() -> None:
    etcd = SilentEtcd()
    etcd.keys = (KeyValue(b"/a/current", b"hello", 1),)
    follower = Follower(cast("EtcdClient", etcd), Layout("/a/"), Cache(), lambda _kinds: None)
    with log_lines() as lines:
        following = asyncio.create_task(follower.run())
        await wait_for(lambda: lines or following.done())
        etcd.keys = ()
        await wait_for(lambda: etcd.watches == 1 or following.done())
    following.cancel()
    with pytest.raises(asyncio.CancelledError):
        await following
    assert [line["event"] for line in lines][:1] == ["Database cannot be followed"]
    assert "/a/" in lines[0]["reason"]

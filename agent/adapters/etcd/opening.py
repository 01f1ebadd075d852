"""Engines that are open: each held by a task of its own, as it may be closed by another than the one that opened it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from agent.adapters.etcd.adopted import AdoptedMembership
from agent.adapters.etcd.choice import ETCD, Choice
from agent.adapters.etcd.client import EtcdClient, TlsProvider
from agent.adapters.etcd.leftovers import copy_name
from agent.adapters.etcd.membership import EtcdMembership
from agent.adapters.etcd.store import EtcdStore
from agent.adapters.sqlite.membership import EmbeddedMembership
from agent.adapters.sqlite.store import SqliteStore
from agent.adapters.store import Engine
from agent.config import Config
from agent.log import unasked
from agent.loops import Loops
from agent.ports import Clock, ClusterEngine


@dataclass(frozen=True, slots=True)
class Opened:
    """A store that is open, and its members."""

    store: Engine
    membership: ClusterEngine
    client: EtcdClient | None
    """None for SQLite."""
    _done: asyncio.Event
    _task: asyncio.Task[None]

    async def close(self) -> None:
        """Close it; whoever still asks it is answered Unavailable."""
        self._done.set()
        await asyncio.wait([self._task])


class Opener:
    """Opens engines in the tasks of `group`."""

    def __init__(
        self,
        group: asyncio.TaskGroup,
        config: Config,
        clock: Clock,
        tls: TlsProvider,
        cluster: Callable[[], str],
        loops: Loops,
        voters: int,
    ) -> None:
        """`cluster` gives the id of the cluster of heads; raises Unavailable. `voters`: see `EtcdMembership`."""
        self._group = group
        self._config = config
        self._clock = clock
        self._tls = tls
        self._cluster = cluster
        self._loops = loops
        self._voters = voters

    async def open(self, choice: Choice) -> Opened:
        """Open what is chosen; it does not fail for want of a quorum. Of a cluster that is known a copy is kept."""
        opening = self._etcd(choice) if choice.engine == ETCD else self._sqlite()
        ready: asyncio.Future[tuple[Engine, ClusterEngine, EtcdClient | None]] = (
            asyncio.get_running_loop().create_future()
        )
        done = asyncio.Event()
        # Who has the engine changed waits for it, and what it does from then on is not theirs.
        task = unasked(self._group.create_task, _hold(opening, ready, done))
        try:
            store, membership, client = await ready
        except BaseException:
            done.set()  # it may be open by now, and nobody else could close it
            raise
        return Opened(store, membership, client, done, task)

    @asynccontextmanager
    async def _sqlite(self) -> AsyncIterator[tuple[Engine, ClusterEngine, EtcdClient | None]]:
        async with SqliteStore.open(
            self._config.database.path, backups=self._config.state.directory / "backups"
        ) as store:
            yield store, EmbeddedMembership(self._config.head.uid, self._cluster), None

    @asynccontextmanager
    async def _etcd(self, choice: Choice) -> AsyncIterator[tuple[Engine, ClusterEngine, EtcdClient | None]]:
        config, adopted = self._config, bool(self._config.etcd.endpoints)
        cluster = int(choice.cluster, 16) if choice.cluster else None
        copy = config.state.directory / copy_name(choice) if choice.cluster else None
        client = EtcdClient(config.etcd.endpoints or choice.endpoints, self._tls, self._clock, cluster_id=cluster)
        try:
            async with EtcdStore.open(client, config.head.uid, self._clock, copy, self._loops) as store:
                yield (
                    store,
                    AdoptedMembership(client) if adopted else EtcdMembership(client, self._clock, self._voters),
                    client,
                )
        finally:
            await client.close()


async def _hold(
    opening: AbstractAsyncContextManager[tuple[Engine, ClusterEngine, EtcdClient | None]],
    ready: asyncio.Future[tuple[Engine, ClusterEngine, EtcdClient | None]],
    done: asyncio.Event,
) -> None:
    async with opening as opened:
        if not ready.cancelled():
            ready.set_result(opened)
            await done.wait()

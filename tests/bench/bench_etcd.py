"""What the shared engine costs: a commit beside a bare put, the gaps when members fail, an idle store's CPU."""

from __future__ import annotations

import asyncio
import base64
import logging
import statistics
import time
from collections.abc import Awaitable, Callable

import aiohttp
import structlog

from agent.adapters.clock import SystemClock
from agent.adapters.etcd.store import EtcdStore
from agent.errors import Unavailable
from agent.model import Kind
from agent.ports import Put
from tests.support.etcd import Etcd, EtcdMember, etcd

COMMITS = 500
BODY = {"text": "x" * 200}
IDLE = 20.0
"""Seconds for which an idle store is watched."""


async def main() -> None:
    """Print the measurements."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with etcd(3, tls=True) as cluster:
        await _latency(cluster)
        await _idle(cluster)
    for name, spoil in (
        ("leader killed", lambda leader, _follower: leader.kill()),
        ("leader frozen", lambda leader, _follower: leader.freeze()),
        ("own member killed", lambda _leader, follower: follower.kill()),
        ("own member frozen", lambda _leader, follower: follower.freeze()),
    ):
        with etcd(3) as cluster:
            print(f"{name:<20} longest gap between two commits {await _gap(cluster, spoil):6.2f} s")


async def _latency(cluster: Etcd) -> None:
    async with aiohttp.ClientSession() as session:
        value = base64.b64encode(b"x" * 256).decode()

        async def bare() -> None:
            body = {"key": base64.b64encode(b"bare").decode(), "value": value}
            async with session.post(f"{cluster.urls[0]}/v3/kv/put", json=body, ssl=cluster.tls or True) as answer:
                await answer.read()

        baseline = await _each(bare)
    client = cluster.client()
    async with EtcdStore.open(client, "a" * 32, SystemClock()) as store:

        async def commit() -> None:
            await store.commit(Put(Kind.IMAGE, "a" * 32, BODY, "name"))

        commits = await _each(commit)
        reads = await _each(lambda: store.get(Kind.IMAGE, "a" * 32))
    await client.close()
    print(f"{'bare put':<20} p50 {baseline[0]:6.2f} ms, p99 {baseline[1]:6.2f} ms")
    print(f"{'commit':<20} p50 {commits[0]:6.2f} ms, p99 {commits[1]:6.2f} ms: {commits[0] / baseline[0]:.2f} of it")
    print(f"{'read':<20} p50 {reads[0]:6.3f} ms, p99 {reads[1]:6.3f} ms")


async def _each(do: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    took = []
    for _ in range(COMMITS):
        began = time.perf_counter()
        await do()
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took), statistics.quantiles(took, n=100)[98]


async def _idle(cluster: Etcd) -> None:
    client = cluster.client()
    async with EtcdStore.open(client, "a" * 32, SystemClock()):
        await asyncio.sleep(2)
        before = time.process_time()
        await asyncio.sleep(IDLE)
        share = (time.process_time() - before) / IDLE
    await client.close()
    print(f"{'idle store':<20} {share:.2%} of a core")


async def _gap(cluster: Etcd, spoil: Callable[[EtcdMember, EtcdMember], None]) -> float:
    client = cluster.client()
    leader = await cluster.leader(client)
    await client.close()
    follower = next(member for member in cluster.members if member is not leader)
    client = cluster.client(sorted(cluster.urls, key=lambda url: url != follower.url))
    async with EtcdStore.open(client, "a" * 32, SystemClock()) as store:
        began = last = time.perf_counter()
        gap, spoiled = 0.0, False
        while time.perf_counter() - began < 6:
            if not spoiled and time.perf_counter() - began > 0.5:
                spoil(leader, follower)
                spoiled = True
            try:
                await store.commit(Put(Kind.IMAGE, "a" * 32, BODY))
            except Unavailable:
                continue
            now = time.perf_counter()
            gap, last = max(gap, now - last), now
    await client.close()
    return gap


if __name__ == "__main__":
    asyncio.run(main())

"""The client of the JSON gateway on real members."""

from __future__ import annotations

import asyncio

import pytest

from agent.adapters.etcd.client import EtcdClient
from agent.adapters.etcd.cluster import Cluster
from agent.adapters.etcd.errors import Compacted, NoQuorum
from agent.adapters.etcd.wire import Answer, put
from tests.support.etcd import Etcd, one_etcd

__all__ = ["one_etcd"]


async def write(client: EtcdClient, key: bytes, value: bytes) -> None:
    await client.txn(client.endpoints.best, [], [put(key, value)], [])


async def test_what_is_at_its_default_and_left_out_is_read_as_such(one_etcd: Etcd) -> None:
    client = one_etcd.client()
    try:
        await write(client, b"empty", b"")
        found = await client.range(b"empty")
        assert [(kv.key, kv.value) for kv in found.kvs] == [(b"empty", b"")]
        nothing = await client.range(b"nothing")
        assert (nothing.kvs, nothing.count, nothing.more) == ((), 0, False)
        assert nothing.header.revision >= 2
    finally:
        await client.close()

"""The shared engine keeps the contract of a store, on a real etcd."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.adapters.clock import SystemClock
from agent.adapters.etcd.store import EtcdStore
from tests.contracts.store import StoreContract, StoreEngineContract
from tests.support.etcd import Etcd, one_etcd

__all__ = ["one_etcd"]

_roots = itertools.count()


@pytest.fixture
async def store(one_etcd: Etcd, tmp_path: Path) -> AsyncIterator[EtcdStore]:
    client = one_etcd.client()
    try:
        root = f"/{next(_roots)}/"
        async with EtcdStore.open(client, "a" * 32, SystemClock(), tmp_path / "copy.db", root=root) as opened:
            yield opened
    finally:
        await client.close()


class TestStore(StoreContract):
    """Records."""


class TestEngine(StoreEngineContract):
    """Checks, backups, restores."""

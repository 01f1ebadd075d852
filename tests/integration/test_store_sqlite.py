"""The embedded engine keeps the contract of a store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.adapters.sqlite.store import SqliteStore
from tests.contracts.store import StoreContract, StoreEngineContract


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with SqliteStore.open(tmp_path / "agent.db") as opened:
        yield opened


class TestStore(StoreContract):
    """Records."""


class TestEngine(StoreEngineContract):
    """Checks, backups, restores."""

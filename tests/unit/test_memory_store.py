"""The fake store keeps the contract of the real ones."""

from __future__ import annotations

import pytest

from tests.contracts.store import StoreContract, StoreEngineContract
from tests.support.memory_store import MemoryStore


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


class TestStore(StoreContract):
    """Records."""


class TestEngine(StoreEngineContract):
    """Checks, backups, restores."""

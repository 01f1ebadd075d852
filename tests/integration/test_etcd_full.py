"""An etcd that has reached its quota takes no write, not even a lock: a clean is the way out all the same."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from agent.adapters.clock import SystemClock
from agent.adapters.etcd.store import EtcdStore
from agent.config import Config, Live
from agent.database.backups import Backups
from agent.database.cleaning import Cleaner
from agent.errors import Unavailable
from agent.model import Kind
from agent.ports import Put
from tests.support.etcd import Etcd, etcd
from tests.support.housekeeping import MemoryHousekeeping
from tests.support.turns import always

UID = "i" * 32
LARGE = 400_000


@pytest.fixture(scope="module")
def small() -> Iterator[Etcd]:
    """One member with a quota of four MiB."""
    with etcd(heartbeat=20, election=200, options=[f"--quota-backend-bytes={4 * 2**20}"]) as cluster:
        yield cluster


@pytest.fixture
async def full(small: Etcd) -> AsyncIterator[EtcdStore]:
    """Its store, filled by the many revisions of one record until no more is taken."""
    client = small.client()
    try:
        async with EtcdStore.open(client, "a" * 32, SystemClock()) as store:
            with pytest.raises(Unavailable, match="quota") as refused:
                await _fill(store)
            assert refused.value.code == "no-space"
            yield store
    finally:
        await client.close()


async def test_a_clean_makes_room_in_an_etcd_that_takes_no_more_writes(full: EtcdStore, tmp_path: Path) -> None:
    live, clock = Live(Config()), SystemClock()
    backups = Backups(full, tmp_path / "backups", live, clock, _nothing)
    cleaner = Cleaner(full, full, MemoryHousekeeping(), backups, always(full, full), live, clock)
    before = await full.get(Kind.IMAGE, UID)
    shown = await cleaner.plan()
    assert {"compact", "disarm"} <= {action.action for action in shown.actions}

    # Most of etcd's file is what the records were before: a backup, which is of what they are, needs no such room.
    needed = await full.backup_size()
    assert needed < await full.size() / 2

    done = await cleaner.clean(shown.plan)

    assert done.backup is not None
    assert done.backup.bytes <= needed
    assert [action.action for action in done.performed] == [action.action for action in shown.actions]
    assert done.skipped == []
    assert await full.get(Kind.IMAGE, UID) == before
    assert await full.records(Kind.LOCK) == []
    await full.commit(Put(Kind.IMAGE, UID, {"text": "x" * LARGE}, "i"))
    assert full.problem is None


async def _fill(store: EtcdStore) -> None:
    for number in range(100):
        await store.commit(Put(Kind.IMAGE, UID, {"number": number, "text": "x" * LARGE}, "i"))


async def _nothing() -> None:
    """Nobody follows a restore here."""

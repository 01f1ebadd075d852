"""A commit whose caller goes away in the middle is done or not done, and the next one works."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from agent.adapters.sqlite.store import SqliteStore
from agent.model import Kind
from agent.ports import Put
from tests.support.databases import UID


def pair(number: int) -> tuple[Put, Put]:
    return Put(Kind.IMAGE, UID, {"n": number}, references=[f"f{number}"]), Put(Kind.REPO, UID, {"n": number})


async def test_a_cancelled_commit_is_all_or_nothing_and_told_when_it_was_done(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "agent.db") as store:
        told: list[int] = []
        store.on_change(lambda kinds: told.append(len(kinds)))
        await store.commit(*pair(0))
        present = 0
        for number in range(1, 120):
            told.clear()
            commit = asyncio.ensure_future(store.commit(*pair(number)))
            for _ in range(number % 40):
                await asyncio.sleep(0)
            commit.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await commit
            images, repos = await store.records(Kind.IMAGE), await store.records(Kind.REPO)
            assert images[0].body == repos[0].body
            assert images[0].revision == repos[0].revision
            if images[0].body["n"] != present:
                present = images[0].body["n"]
                assert told
            assert await store.references("", 10) == [f"f{present}"]
        await store.commit(*pair(1000))
        assert await store.check() == []


async def test_readers_never_see_half_a_commit(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "agent.db") as store:
        await store.commit(*pair(0))
        ended = asyncio.Event()

        async def write() -> None:
            for number in range(1, 100):
                await store.commit(*pair(number))
            ended.set()

        async with asyncio.TaskGroup() as group:
            group.create_task(write())
            seen = 0
            while not ended.is_set():
                image = await store.get(Kind.IMAGE, UID)
                repo = await store.get(Kind.REPO, UID)
                assert image is not None
                assert repo is not None
                assert seen <= image.body["n"] <= repo.body["n"]
                seen = image.body["n"]

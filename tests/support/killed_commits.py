"""A process that commits without end and says what was answered, for somebody to kill. Run: python FILE DATABASE."""

from __future__ import annotations

import asyncio
import sys
from itertools import count
from pathlib import Path

from agent.adapters.sqlite.store import SqliteStore
from agent.model import Kind
from agent.ports import Put

WRITERS = 4


def pair(number: int) -> tuple[Put, Put]:
    """Two records that are committed together."""
    uid = f"{number:032d}"
    body = {"number": number, "text": "x" * (number % 50) * 100}
    return Put(Kind.IMAGE, uid, body, references=[f"a/{number}"]), Put(Kind.REPO, uid, body, references=[f"b/{number}"])


async def commit_for_ever(path: Path) -> None:
    """Print the number of each pair once its commit was answered."""
    async with SqliteStore.open(path) as store:
        start = len(await store.records(Kind.IMAGE))

        async def write(first: int) -> None:
            for number in count(first, WRITERS):
                await store.commit(*pair(number))
                print(number, flush=True)

        await asyncio.gather(*(write(start + writer) for writer in range(WRITERS)))


if __name__ == "__main__":
    asyncio.run(commit_for_ever(Path(sys.argv[1])))

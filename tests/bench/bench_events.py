"""GET /head/services/events on a booted head: from systemd's timestamp of a death to its event at each reader.

The baseline is one reader; the times are those of the last of them to hear of it.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any

import aiohttp

from tests.support.events import PATH, events
from tests.support.heads import Head, Heads
from tests.support.heads.head import SOCKET
from tests.system.demo.throwaway import furnish

DEATHS = 20
READERS = (1, 50)
SUBJECT = "clusterware-bench.service"


class Reader:
    """One reader: for each death, how long its event took."""

    def __init__(self) -> None:
        self.took: dict[str, float] = {}
        self.news = asyncio.Event()

    async def read(self, response: aiohttp.ClientResponse) -> None:
        """Note deaths for as long as the stream lasts."""
        async for event in events(response):
            if event.name == "changed" and event.data["unit"] == SUBJECT:
                self.note(event.data)

    def note(self, row: dict[str, Any]) -> None:
        """Systemd's time of a death is told in milliseconds; nothing is said twice."""
        if row["active_state"] == "failed" and row["since"] not in self.took:
            self.took[row["since"]] = time.time() - datetime.fromisoformat(row["since"]).timestamp()
            self.news.set()


async def measure(head: Head, count: int) -> float:
    """The median of the time until the last of so many readers heard of a death, in seconds."""
    readers = [Reader() for _ in range(count)]
    async with AsyncExitStack() as stack:
        connector = aiohttp.UnixConnector(str(head.path(SOCKET)), limit=0)
        session = await stack.enter_async_context(aiohttp.ClientSession("http://head", connector=connector))
        tasks = [asyncio.create_task(reader.read(await session.get(PATH))) for reader in readers]
        for _ in range(DEATHS):
            await asyncio.to_thread(head.systemctl, "start", SUBJECT)
            for reader in readers:
                reader.news.clear()
            await asyncio.to_thread(head.systemctl, "kill", "--signal=KILL", SUBJECT)
            async with asyncio.timeout(10):
                for reader in readers:
                    await reader.news.wait()
            await asyncio.to_thread(head.systemctl, "reset-failed", SUBJECT)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    last = [max(reader.took[death] for reader in readers) for death in readers[0].took]
    median = statistics.median(last)
    print(f"  {count} readers: median {1e3 * median:.1f} ms, worst of {len(last)} {1e3 * max(last):.1f} ms")
    return median


def main() -> None:
    """Print the figures and their ratio."""
    with Heads() as heads:
        head = heads.boot("bench")
        furnish(head)
        head.write(f"/etc/systemd/system/{SUBJECT}", "[Service]\nExecStart=/bin/sleep infinity\n")
        head.start_agent()
        print(f"From systemd's timestamp of a death to the last reader's event, {DEATHS} times:")
        one, many = (asyncio.run(measure(head, count)) for count in READERS)
        print(f"  ratio of medians {many / one:.2f} (goal: under 100 ms)")


if __name__ == "__main__":
    main()

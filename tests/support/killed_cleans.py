"""Cleans on the embedded store, each in a process of its own that is killed at its n-th step, then a second one.

`python -m tests.support.killed_cleans DIRECTORY` prints, for n = 1, 2, ... until a clean gets through unharmed,
a line of JSON: what the kill left and what the second clean made of it.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import structlog
from typing_extensions import override

from agent.adapters.clock import SystemClock
from agent.adapters.sqlite.store import SqliteStore
from agent.config import Config, Live
from agent.database.backups import Backups
from agent.database.cleaning import Cleaner
from agent.model import Departure, Kind, Tombstone
from agent.ports import Change, Leftover, Put
from tests.support.turns import always

STEPS = (
    "clean.step",
    "open",
    "os.rename",
    "os.link",
    "os.remove",
    "os.chmod",
    "os.mkdir",
    "os.truncate",
    "sqlite3.connect",
)
"""The audit events that count as steps; SQLite's own writes are its own to survive."""


class SteppingStore(SqliteStore):
    """The embedded store, a step before and after each change of its."""

    @override
    async def commit(self, *changes: Change) -> int:
        """Apply them."""
        self._step()
        revision = await super().commit(*changes)
        self._step()
        return revision

    @override
    async def reclaim(self, action: str) -> int:
        """Do it."""
        self._step()
        freed = await super().reclaim(action)
        self._step()
        return freed

    def _step(self) -> None:
        sys.audit("clean.step", str(self._path))


class Uploads:
    """`StoreHousekeeping` over a directory whose `*.part` files are all dead."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def leftovers(self) -> list[Leftover]:
        """The uploads."""
        return [Leftover("upload", p.name, "dead", p.stat().st_size) for p in sorted(self._root.glob("*.part"))]

    async def discard(self, leftover: Leftover) -> int:
        """Remove it."""
        (self._root / leftover.target).unlink()
        return leftover.bytes

    async def missing(self, filenames: Sequence[str]) -> list[str]:
        """Those that do not exist."""
        return [name for name in filenames if not (self._root / name).exists()]


@asynccontextmanager
async def opened(place: Path) -> AsyncIterator[tuple[SqliteStore, Cleaner]]:
    """The room over what lies in `place`."""

    async def nobody_remembers() -> None:
        pass

    async with SteppingStore.open(place / "agent.db") as store:
        live, clock = Live(Config()), SystemClock()
        backups = Backups(store, place / "backups", live, clock, nobody_remembers)
        turns = always(store, store)
        yield store, Cleaner(store, store, Uploads(place / "store"), backups, turns, live, clock)


async def furnish(place: Path) -> None:
    """Make a place with something of every kind to clean, and with something to keep."""
    (place / "store").mkdir(parents=True)
    for name in ("a.part", "b.part", "rocky.img"):
        (place / "store" / name).write_bytes(b"x" * 100)
    async with opened(place) as (store, _):
        for number, days in enumerate((90, 60, 1)):
            at = (datetime.now(UTC) - timedelta(days=days)).isoformat()
            body = msgspec.to_builtins(Tombstone(Departure.LEFT, at, 1))
            await store.commit(Put(Kind.TOMBSTONE, f"{number:032d}", body))
        await store.commit(Put(Kind.IMAGE, "i" * 32, {"content": {"filename": "rocky.img"}, "fill": "x" * 3_000_000}))
        await store.commit(Put(Kind.IMAGE, "i" * 32, {"content": {"filename": "rocky.img"}}))
        (place / "backups").mkdir(mode=0o700)
        for number in range(5):
            await store.backup(place / "backups" / f"2020010{number + 1}T000000.000000Z.db")


async def clean(place: Path) -> None:
    """One clean."""
    async with opened(place) as (_, cleaner):
        await cleaner.clean()


async def state(place: Path) -> dict[str, Any]:
    """What there is in `place` now."""
    async with opened(place) as (store, cleaner):
        plan = await cleaner.plan()
        return {
            "problem": store.problem,
            "tombstones": [record.uid[-1] for record in await store.records(Kind.TOMBSTONE)],
            "images": [record.body for record in await store.records(Kind.IMAGE)],
            "files": sorted(path.name for path in (place / "store").iterdir()),
            "backups": [_sound(path) for path in (place / "backups").iterdir()],
            "left": [action.kind for action in plan.actions],
            "findings": len(plan.findings),
            "bytes": (place / "agent.db").stat().st_size,
        }


def _sound(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])


def killed_at(step: int, place: Path) -> None:
    """Have this process killed, with no chance to clean up, at its `step`-th step within `place`."""
    left = step

    def hook(event: str, args: tuple[Any, ...]) -> None:
        nonlocal left
        if event in STEPS and args and str(place) in str(args[0]):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def cleaned(place: Path, step: int) -> bool:
    """Clean in a process of its own; whether that was killed, at `step`. Any other failure ends everything."""
    child = os.fork()
    if child == 0:
        if step:
            killed_at(step, place)
        asyncio.run(clean(place))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return True
    if status != 0:
        sys.exit(f"a clean failed: status {status}")
    return False


def main(directory: Path) -> None:
    """Kill cleans at every step in turn."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("critical"))
    template = directory / "template"
    asyncio.run(furnish(template))
    step, killed = 0, True
    while killed:
        step += 1
        place = directory / "place"
        shutil.copytree(template, place)
        killed = cleaned(place, step)
        backups = [_sound(path) for path in (place / "backups").glob("2*.db")]
        cleaned(place, 0)
        print(json.dumps({"killed": killed, "meanwhile": backups, **asyncio.run(state(place))}), flush=True)
        shutil.rmtree(place)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Scan plus difference of a large store against `find`: `python -m tests.bench.scan [FILES [ROUNDS [DIRECTORY]]]`.

One file in a hundred is unreferenced. Rounds are interleaved, caches warm, medians compared; `find` prints to
/dev/null. Each layout is measured in a process of its own: memory is how much the first scan raises its peak. Lag is
how late a loop that sleeps 1 ms wakes, in scans of their own, since such a loop slows a scan down.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import islice
from pathlib import Path

import structlog

from agent.adapters.filestore.directory import DirectoryStore
from agent.adapters.sqlite.store import SqliteStore
from agent.config import Config, Live
from agent.files.references import OwnReferences
from agent.model import Kind
from agent.ports import ABSENT, Put, walk_key

GOALS = {"cas": (1.1, 10.0), "flat": (1.5, 35.0)}
"""Layout -> the most that a scan may take, in times of find, and grow, in MB."""

References = Callable[[], AsyncIterator[Sequence[str]]]


def make(root: Path, layout: str, files: int) -> list[str]:
    """Make a tree of small files; their names in walk order."""
    names = []
    for n in range(files):
        name = hashlib.sha1(str(n).encode(), usedforsecurity=False).hexdigest()
        names.append(f"{name[:2]}/{name[2:4]}/{name[4:]}" if layout == "cas" else name)
    for folder in {os.path.dirname(name) for name in names}:
        (root / folder).mkdir(parents=True, exist_ok=True)
    for name in names:
        (root / name).write_bytes(b"x" * 32)
    return sorted(names, key=walk_key)


def find(root: Path) -> float:
    """How long find takes to print the names."""
    started = time.perf_counter()
    subprocess.run(["find", str(root), "-type", "f", "-printf", "%f\n"], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


async def scan(store: DirectoryStore, references: References, expected: int) -> float:
    """How long one scan takes."""
    started = time.perf_counter()
    sighting = await store.unreferenced(references())
    took = time.perf_counter() - started
    if len(sighting.unreferenced) != expected:
        raise RuntimeError(f"found {len(sighting.unreferenced)} files, expected {expected}")
    return took


async def lags(store: DirectoryStore, references: References, expected: int) -> list[float]:
    """How late the event loop is during one scan."""
    found = []
    async with asyncio.TaskGroup() as group:
        scanning = group.create_task(scan(store, references, expected))
        while not scanning.done():
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            found.append(time.perf_counter() - before - 0.001)
    return found


def _memory(line: str) -> int:
    """A figure of /proc/self/status, in kB."""
    text = Path("/proc/self/status").read_text()
    return int(text.split(f"{line}:")[1].split()[0])


async def prepare(layout: str, files: int, directory: Path) -> None:
    """Make the tree, the list of references, and the database that holds them."""
    root = directory / layout
    root.mkdir()
    names = make(root, layout, files)
    referenced = [name for n, name in enumerate(names) if n % 100]
    (directory / f"{layout}.list").write_text("\n".join(referenced))
    async with SqliteStore.open(directory / f"{layout}.db") as database:
        for n in range(0, len(referenced), 1000):
            name = f"image-{n}"
            some = referenced[n : n + 1000]
            await database.commit(Put(Kind.IMAGE, f"{n:032d}", {"name": name}, name, ABSENT, some))


async def measure(layout: str, files: int, rounds: int, directory: Path) -> None:
    """Measure one layout, and print it."""
    root = directory / layout
    expected = files - files * 99 // 100
    store = DirectoryStore(root)

    async def listed() -> AsyncIterator[Sequence[str]]:
        with (directory / f"{layout}.list").open() as lines:
            while batch := [line.rstrip("\n") for line in islice(lines, 5000)]:
                yield batch

    async with SqliteStore.open(directory / f"{layout}.db") as database:
        sources: dict[str, References] = {
            "a list": listed,
            "the database": OwnReferences(database, Live(Config())).references,
        }
        Path("/proc/self/clear_refs").write_text("5")
        before = _memory("VmRSS")
        await scan(store, sources["the database"], expected)
        grew = (_memory("VmHWM") - before) / 1000
        find(root)
        floor: list[float] = []
        took: dict[str, list[float]] = {name: [] for name in sources}
        for _ in range(rounds):
            floor.append(find(root))
            for name, references in sources.items():
                took[name].append(await scan(store, references, expected))
        late = sorted([lag for _ in range(rounds) for lag in await lags(store, sources["the database"], expected)])
    store.close()
    ratio_goal, memory_goal = GOALS[layout]
    baseline = statistics.median(floor)
    print(f"{layout}: {files} files, {expected} unreferenced; find {baseline:.3f} s (best {min(floor):.3f})")
    for name, times in took.items():
        ratio, best = statistics.median(times) / baseline, min(times) / min(floor)
        print(f"  references from {name}: {ratio:.2f} x find (best against best {best:.2f}; goal {ratio_goal})")
    print(f"  memory: +{grew:.1f} MB (goal {memory_goal:g})")
    p50, p99 = (late[int(len(late) * part)] * 1000 for part in (0.5, 0.99))
    print(f"  loop lag: p50 {p50:.1f}, p99 {p99:.1f}, max {late[-1] * 1000:.1f} ms (goal p99 10)", flush=True)


def main() -> None:
    """All layouts, one after the other, in a directory that is removed afterwards."""
    if sys.argv[1:2] == ["--measure"]:
        asyncio.run(measure(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5])))
        return
    files = int(sys.argv[1]) if len(sys.argv) > 1 else 300_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    directory = Path(tempfile.mkdtemp(prefix="scan-", dir=sys.argv[3] if len(sys.argv) > 3 else None))
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("warning"))
    try:
        for layout in GOALS:
            asyncio.run(prepare(layout, files, directory))
            command = [sys.executable, "-m", "tests.bench.scan", "--measure"]
            subprocess.run([*command, layout, str(files), str(rounds), str(directory)], check=True)
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()

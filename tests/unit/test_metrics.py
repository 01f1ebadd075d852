"""The table of metrics keeps to the conventions, and the rooms count what no scrape could read later."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from dataclasses import replace

import pytest

from agent.adapters.store import CurrentStore
from agent.api.metrics.exposition import expose
from agent.api.metrics.metric import Metric, Type
from agent.api.metrics.table import METRICS
from agent.api.routes import ROUTES
from agent.ctl.parser import parse
from agent.errors import Conflict, Unavailable
from agent.loops import Loops, periodic
from agent.model import Kind
from agent.ports import ABSENT, Put
from tests.support.clock import StillClock
from tests.support.daemon import ROOT
from tests.support.exposition import Scraped, rules
from tests.support.files import FilesRoom, SetReferences
from tests.support.full_reading import HEADS, UNITS, figures, reading
from tests.support.memory_files import MemoryFiles
from tests.support.memory_store import MemoryStore
from tests.support.metrics_table import DOCUMENT, written

LABELS = {
    *("head", "state", "standing", "description", "version", "direction", "unit", "action", "result", "engine"),
    *("route", "method", "code", "python", "cluster", "dependency", "loop", "certificate"),
}
"""Each of them has few values. Whoever adds one has thought about that, and about what may not be told."""


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names_are_as_prometheus_wants_them(metric: Metric) -> None:
    assert re.fullmatch(r"clusterware_head_[a-z_]+[a-z]", metric.name)
    assert metric.name.endswith("_total") == (metric.type is Type.COUNTER)
    assert metric.type is not Type.HISTOGRAM or metric.name.endswith("_seconds")
    assert metric.help.endswith(".")
    assert set(metric.labels) <= LABELS


def test_each_name_stands_once() -> None:
    assert [name for name, times in Counter(metric.name for metric in METRICS).items() if times > 1] == []


def test_documented_metrics_are_those_of_the_table() -> None:
    text = DOCUMENT.read_text()
    assert text == written(text), "run: python -m tests.support.metrics_table"


async def test_commits_are_timed_and_those_that_cannot_be_made_counted() -> None:
    engine = MemoryStore()
    store = CurrentStore(engine)
    put = Put(Kind.REPO, "r" * 32, {"name": "r"}, "r", expect=ABSENT)
    await store.commit(put)
    with pytest.raises(Conflict):
        await store.commit(put)
    assert (sum(store.commits.counts), store.uncommitted, store.revision) == (1, 0, 1)
    engine.problem = "the disk is full"
    with pytest.raises(Unavailable):
        await store.commit(put)
    assert (sum(store.commits.counts), store.uncommitted) == (1, 1)


async def test_a_survey_leaves_its_figures_and_one_that_failed_is_counted() -> None:
    files, clock = MemoryFiles(), StillClock()
    for name in ("image", "unused", "open"):
        files.put(name)
    files.put("open", busy="is in use")
    references = SetReferences({"image"})
    room = FilesRoom(files, references, clock)
    await room.collector.unused()
    past = room.collector.surveys
    assert (past.done, past.failed, past.scanned) == (1, 0, 3)
    assert (past.referenced, past.unused, past.unused_bytes, past.kept) == (1, 1, 1, 1)
    assert past.ended == clock.monotonic()
    references.away = "a head is down"
    with pytest.raises(Unavailable):
        await room.collector.unused()
    assert (past.done, past.failed, past.unused) == (1, 1, 1)


async def test_files_that_are_removed_restored_and_gone_for_good_are_counted() -> None:
    files = MemoryFiles()
    for name in ("image", "kernel", "initramfs", "one"):
        files.put(name)
    room = FilesRoom(files, SetReferences({"image", "kernel", "initramfs"}))
    await room.collector.remove()
    await room.collector.trash.look()
    trash = room.collector.trash
    assert (room.collector.removed.files, room.collector.removed.bytes) == (1, 1)
    assert (trash.content.files, trash.content.bytes) == (1, 1)
    assert trash.usage is not None
    await trash.restore(["one"])
    assert (trash.restored.files, trash.purged.files) == (1, 0)
    await room.collector.remove()
    await trash.empty()
    assert (room.collector.removed.files, trash.purged.files, trash.purged.bytes) == (2, 1, 1)


async def test_loops_count_their_failures_and_overruns() -> None:
    loop, enough = Loops().add("scan", 0.0001), asyncio.Event()

    async def work() -> None:
        await asyncio.sleep(0.001)
        if loop.overruns >= 2:
            enough.set()
        raise Unavailable("the bus is away")

    running = asyncio.ensure_future(periodic(loop, work))
    async with asyncio.timeout(5):
        await enough.wait()
    running.cancel()
    await asyncio.wait([running])
    assert loop.failures >= 2
    assert loop.overruns >= 2


def actions() -> list[str]:
    """The commands that alerts tell people to run, made up labels in the place of real ones."""
    text = " ".join(rule["action"] for rule in rules())
    return [re.sub(r"\{\{ \$labels\.\w+ \}\}", "x", found) for found in re.findall(r"`([^`]+)`", text)]


@pytest.mark.parametrize("command", sorted({one for one in actions() if one.startswith("cw-headctl")}))
def test_alerts_name_commands_that_there_are(command: str) -> None:
    words = [word.replace("x", "x" * 32) if word == "x" else word for word in command.split()[1:]]
    assert vars(parse(words))


def test_alerts_search_the_journal_for_what_is_written_there() -> None:
    source = "\n".join(path.read_text() for path in (ROOT / "agent").rglob("*.py"))
    searched = [found for one in actions() for found in re.findall(r"-g '([^']+)'", one)]
    assert searched
    assert [words for words in searched if f'"{words}' not in source] == []


def test_what_cannot_be_read_is_left_out_and_the_rest_is_told() -> None:
    whole = reading()
    text, _ = expose(figures(whole), "")
    partial, _ = expose(figures(replace(whole, members=None, outlook=None, size=None, backups=None, ready={})), "")
    seen, left = Scraped.of(text.decode()), Scraped.of(partial.decode())
    assert seen.families == left.families
    for name in ("heads", "heartbeat_age_seconds", "record_info", "ready", "database_size_bytes", "database_backups"):
        assert any(found == f"clusterware_head_{name}" for found, _ in seen.series), name
        assert not any(found == f"clusterware_head_{name}" for found, _ in left.series), name
    assert left.total("clusterware_head_unit_up") == seen.total("clusterware_head_unit_up") == UNITS


def test_a_scrape_has_few_series_for_each_head_service_and_route() -> None:
    text, _ = expose(figures(reading()), "")
    labelled = Counter(line.partition(b"{")[0] for line in text.splitlines() if not line.startswith(b"#"))
    assert sum(labelled.values()) < 300 + 12 * HEADS + 8 * UNITS + 14 * len(ROUTES)

"""The cache and its watch: cut off, compacted away, restored under it, and large."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

import msgspec
import pytest

from agent.adapters.clock import SystemClock
from agent.adapters.etcd.client import EtcdClient
from agent.adapters.etcd.cluster import Cluster
from agent.adapters.etcd.endpoints import Endpoints
from agent.adapters.etcd.errors import NoSpace
from agent.adapters.etcd.generations import install
from agent.adapters.etcd.keys import Layout, RecordKey
from agent.adapters.etcd.store import EtcdStore
from agent.adapters.etcd.wire import Answer, drop, put, untouched
from agent.adapters.sqlite import archive
from agent.adapters.sqlite.archive import Row
from agent.errors import Conflict, Unavailable
from agent.model import OBJECT_KINDS, Kind, Record
from agent.ports import Delete, Put, walk_key
from agent.records.shape import SHAPE
from tests.support.etcd import Etcd, one_etcd
from tests.support.etcd_relay import relaying
from tests.support.waiting import wait_for

__all__ = ["one_etcd"]

A, B, C = "a" * 32, "b" * 32, "c" * 32
_roots = itertools.count()


@pytest.fixture
def root() -> str:
    return f"/watch{next(_roots)}/"


@pytest.fixture
async def client(one_etcd: Etcd) -> AsyncIterator[EtcdClient]:
    made = one_etcd.client()
    yield made
    await made.close()


@asynccontextmanager
async def opened(cluster: Etcd, root: str, url: str | None = None, owner: str = A) -> AsyncIterator[EtcdStore]:
    client = cluster.client([url] if url else None)
    try:
        async with EtcdStore.open(client, owner, SystemClock(), root=root) as store:
            yield store
    finally:
        await client.close()


async def test_what_happened_while_the_watch_was_cut_off_and_compacted_away_is_listed(
    one_etcd: Etcd, client: EtcdClient, root: str
) -> None:
    async with relaying(one_etcd.urls[0]) as relay, opened(one_etcd, root, relay.url) as store:
        await store.commit(Put(Kind.IMAGE, A, {}, "a", references=["f"]), Put(Kind.IMAGE, B, {}))
        target, relay.target = relay.target, "http://127.0.0.1:1"
        relay.cut()
        async with opened(one_etcd, root, owner=B) as other:
            await other.commit(Delete(Kind.IMAGE, A), Put(Kind.IMAGE, B, {"v": 1}, "a"))
            last = await other.commit(Put(Kind.REPO, A, {}))
            await Cluster(client).compact(last)
        told: list[frozenset[Kind]] = []
        store.on_change(told.append)
        relay.target = target
        await wait_for(lambda: frozenset(Kind) in told)
        record = await store.find(Kind.IMAGE, "a")
        assert record is not None
        assert (record.uid, record.body) == (B, {"v": 1})
        assert await store.get(Kind.IMAGE, A) is None
        assert await store.references("", 9) == []


async def test_records_larger_than_any_buffer_come_through_the_watch(one_etcd: Etcd, root: str) -> None:
    async with opened(one_etcd, root) as store, opened(one_etcd, root, owner=B) as other:
        text = "x" * 700_000
        await other.commit(Put(Kind.IMAGE, A, {"text": text}))
        revision = await store.commit(Put(Kind.IMAGE, B, {}))
        record = await store.get(Kind.IMAGE, A)
        assert record is not None
        assert record.body == {"text": text}
        assert record.revision < revision


async def test_many_records_are_listed_page_by_page_and_their_references_in_walk_order(
    one_etcd: Etcd, client: EtcdClient, root: str
) -> None:
    rng = random.Random(1)
    names = [f"{rng.choice('abc')}{rng.choice(['/', '-', ''])}{n}" for n in range(30_000)]
    rows = [
        Row(Record(Kind.IMAGE, f"{n:032}", 1, {"n": n}, f"i{n}"), tuple(names[n * 25 : n * 25 + 25]))
        for n in range(1200)
    ]
    await install(client, Layout(root), rows, base=1000)
    async with opened(one_etcd, root) as store:
        assert [record.body["n"] for record in await store.records(Kind.IMAGE)] == list(range(1200))
        record = await store.find(Kind.IMAGE, "i7")
        assert record is not None
        assert record.revision > 1000
        assert await store.commit(Put(Kind.IMAGE, record.uid, {}, expect=record.revision)) > record.revision
        expected = sorted(set(names) - set(names[175:200]), key=walk_key)
        assert await store.references("", 40_000) == expected


async def test_a_cancelled_question_leaves_the_references_as_they_are(
    one_etcd: Etcd, client: EtcdClient, root: str
) -> None:
    names = [f"f{n:06}" for n in range(60_000)]
    rows = [Row(Record(Kind.IMAGE, f"{n:032}", 1, {}), tuple(names[n::20])) for n in range(20)]
    await install(client, Layout(root), rows)
    async with opened(one_etcd, root) as store:
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(store.references("", 10))
            await asyncio.sleep(0)
            asking.cancel()
        assert await store.references("", 10**6) == names


async def test_records_that_are_too_large_to_come_at_once_are_read(one_etcd: Etcd, root: str) -> None:
    async with opened(one_etcd, root) as store, relaying(one_etcd.urls[0]) as relay:
        for n in range(90):
            await store.commit(Put(Kind.BOOTCONFIG, f"{n:032}", {}, f"small{n}"))
        for n in range(40):
            await store.commit(Put(Kind.IMAGE, f"{n:032}", {"description": "x" * 300_000}))
        relay.most = 8_000_000
        async with opened(one_etcd, root, relay.url, owner=B) as other:
            await wait_for(lambda: other.age is None)
            assert len(await other.records(Kind.IMAGE)) == 40
            assert len(await other.records(Kind.BOOTCONFIG)) == 90


async def test_a_restore_is_seen_by_every_head_at_one_moment(one_etcd: Etcd, root: str, tmp_path: Path) -> None:
    rows = [Row(Record(Kind.IMAGE, f"{n:032}", n + 1, {}, f"new{n}")) for n in range(250)]
    archive.write(tmp_path / "backup.db", rows, 300)
    async with opened(one_etcd, root) as store, opened(one_etcd, root, owner=B) as other:
        await store.commit(*(Put(Kind.IMAGE, f"{n:032}", {}, f"old{n}") for n in range(30)))
        seen: set[int] = set()

        async def look() -> None:
            seen.add(len(await other.records(Kind.IMAGE)))

        async with asyncio.TaskGroup() as group:
            restoring = group.create_task(store.restore(tmp_path / "backup.db"))
            while not restoring.done() or 250 not in seen:
                await look()
                await asyncio.sleep(0)
        assert seen <= {0, 30, 250}
        former = archive.read(restoring.result())
        assert {row.record.name for row in former.rows} == {f"old{n}" for n in range(30)}
        await other.commit(Put(Kind.IMAGE, A, {}, "old1"))


async def test_a_restore_brings_no_removed_head_back_and_drops_none_that_came_since(
    one_etcd: Etcd, root: str, tmp_path: Path
) -> None:
    async with opened(one_etcd, root) as store:
        await store.commit(Put(Kind.CLUSTER, "cluster", {"id": "ours"}), Put(Kind.HEAD, A, {}), Put(Kind.HEAD, B, {}))
        await store.commit(Put(Kind.IMAGE, A, {"v": 1}, "image"))
        await store.backup(tmp_path / "backup.db")
        await store.commit(Delete(Kind.HEAD, B), Put(Kind.TOMBSTONE, B, {"departure": "removed"}))
        await store.commit(Put(Kind.HEAD, C, {}), Put(Kind.IMAGE, A, {"v": 2}, "renamed"))
        for rows in (archive.read(tmp_path / "backup.db").rows, [_of_another_cluster]):
            archive.replace(tmp_path / "backup.db", rows, 9)

            await store.restore(tmp_path / "backup.db", OBJECT_KINDS)

            assert [record.body for record in await store.records(Kind.CLUSTER)] == [{"id": "ours"}]
            assert [record.uid for record in await store.records(Kind.HEAD)] == [A, C]
            assert [record.uid for record in await store.records(Kind.TOMBSTONE)] == [B]
            images = {row.record.uid: row.record.body for row in rows if row.record.kind is Kind.IMAGE}
            assert {record.uid: record.body for record in await store.records(Kind.IMAGE)} == images


_of_another_cluster = Row(Record(Kind.CLUSTER, "cluster", 1, {"id": "another"}))


async def test_a_restore_of_damaged_records_brings_no_removed_head_back_either(
    one_etcd: Etcd, client: EtcdClient, root: str, tmp_path: Path
) -> None:
    async with opened(one_etcd, root) as store:
        await store.commit(Put(Kind.CLUSTER, "cluster", {"id": "ours"}), Put(Kind.HEAD, A, {}), Put(Kind.HEAD, B, {}))
        await store.backup(tmp_path / "backup.db")
        await store.commit(Delete(Kind.HEAD, B), Put(Kind.TOMBSTONE, B, {"departure": "removed"}))
        key = Layout(root).key("first", RecordKey(Kind.LOCK, "clean"))
        await client.call("kv/put", {"key": key, "value": b"not what the agent wrote"}, Answer)
        await wait_for(lambda: store.problem is not None)

        await store.restore(tmp_path / "backup.db", OBJECT_KINDS)

        await wait_for(lambda: store.problem is None)
        assert [record.uid for record in await store.records(Kind.HEAD)] == [A]
        assert [record.uid for record in await store.records(Kind.TOMBSTONE)] == [B]


async def test_a_restore_in_which_a_head_is_removed_changes_nothing(
    one_etcd: Etcd, client: EtcdClient, root: str
) -> None:
    layout = Layout(root)
    async with opened(one_etcd, root) as store:
        since = await store.commit(Put(Kind.HEAD, A, {}), Put(Kind.HEAD, B, {}))
        unless = [untouched(*layout.records("first", kind), since) for kind in SHAPE]
        await store.commit(Delete(Kind.HEAD, B), Put(Kind.TOMBSTONE, B, {"departure": "removed"}))

        with pytest.raises(Conflict, match="ask again"):
            await install(client, layout, [Row(Record(Kind.HEAD, B, 1, {}))], unless=unless)

        assert [record.uid for record in await store.records(Kind.HEAD)] == [A]


async def test_a_restore_that_was_cut_off_has_changed_nothing_and_can_be_done_again(
    one_etcd: Etcd, client: EtcdClient, root: str
) -> None:
    rows = [Row(Record(Kind.IMAGE, f"{n:032}", n + 1, {}, f"new{n}")) for n in range(2000)]
    async with opened(one_etcd, root) as store:
        await store.commit(Put(Kind.IMAGE, A, {}, "old"))
        async with asyncio.TaskGroup() as group:
            cut = group.create_task(install(client, Layout(root), rows))
            begun = 0
            while begun <= 150:
                begun = (await client.range(*Layout(root).everything, limit=2, keys_only=True)).count
            cut.cancel()
        assert await store.find(Kind.IMAGE, "old") is not None
        await install(client, Layout(root), rows[:3])
        begin, end = Layout(root).everything
        left = [kv.key for kv in (await client.range(begin, end, keys_only=True)).kvs if b"/record/" in kv.key]
        assert len(left) == 3


EXCHANGE = 5
"""Which of its transactions puts new records in force; the one after it removes the former ones."""


@pytest.mark.parametrize("filling", range(1, EXCHANGE + 2))
async def test_an_exchange_that_fills_etcd_fails_only_where_the_former_records_stay(
    one_etcd: Etcd, client: EtcdClient, root: str, filling: int
) -> None:
    stays = filling < EXCHANGE
    async with opened(one_etcd, root) as store, relaying(one_etcd.urls[0]) as relay:
        client.endpoints = Endpoints([relay.url], SystemClock())
        await store.commit(Put(Kind.IMAGE, A, {}, "former"))
        relay.full = {filling}
        with pytest.raises(NoSpace) if stays else nullcontext():
            await install(client, Layout(root), [Row(Record(Kind.IMAGE, B, 1, {}, "new"))])
        await store.commit(Put(Kind.REPO, A, {}))
        assert [record.name for record in await store.records(Kind.IMAGE)] == ["former" if stays else "new"]


async def test_of_two_restores_at_once_one_is_told_that_it_was_overtaken(
    one_etcd: Etcd, client: EtcdClient, root: str
) -> None:
    first = [Row(Record(Kind.IMAGE, f"{n:032}", 1, {})) for n in range(1000)]
    second = first[:10]
    outcomes = await asyncio.gather(
        install(client, Layout(root), first), install(client, Layout(root), second), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] in ([int, Conflict], [Conflict, int])
    async with opened(one_etcd, root) as store:
        assert len(await store.records(Kind.IMAGE)) == (1000 if isinstance(outcomes[0], int) else 10)


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("record", b"mine"),
        ("record", b'{"body":5}'),
        ("record", b'{"body":{"description":"\xff"}}'),
        ("record", b'{"body":{"a":' + 5000 * b"[" + 5000 * b"]" + b"}}"),
        ("name", b"\xff"),
    ],
)
async def test_a_record_that_is_not_what_the_agent_wrote_makes_nobody_guess(
    one_etcd: Etcd, client: EtcdClient, root: str, what: str, value: bytes
) -> None:
    key = f"{root}generation/first/{what}/image/{A}".encode()
    async with opened(one_etcd, root) as store:
        await client.txn(client.endpoints.best, [], [put(key, value)], [])
        await wait_for(lambda: store.problem is not None)
        for read in (store.references("", 1), store.records(Kind.IMAGE)):
            with pytest.raises(Unavailable, match="not what this agent wrote") as refused:
                await read
            assert refused.value.code == "database-damaged"
        await client.txn(client.endpoints.best, [], [drop(key)], [])
        await wait_for(lambda: store.problem is None)
        assert await store.records(Kind.IMAGE) == []


async def test_a_key_that_is_no_text_stops_nobody(one_etcd: Etcd, client: EtcdClient, root: str) -> None:
    key = f"{root}generation/first/record/thing/".encode() + b"\xff"
    async with opened(one_etcd, root) as store:
        await client.txn(client.endpoints.best, [], [put(key, b'{"body":{}}')], [])
        await store.commit(Put(Kind.REPO, A, {}))
        assert [record.uid for record in await store.records(Kind.REPO)] == [A]
    async with opened(one_etcd, root, owner=B) as store:
        assert [record.uid for record in await store.records(Kind.REPO)] == [A]


async def test_references_of_kinds_that_a_newer_agent_wrote_count(
    one_etcd: Etcd, client: EtcdClient, root: str
) -> None:
    key = f"{root}generation/first/record/thing/{A}".encode()
    value = msgspec.json.encode({"body": {}, "references": ["f"]})
    async with opened(one_etcd, root) as store:
        await client.txn(client.endpoints.best, [], [put(key, value), put(Layout(root).commit("x"), b"")], [])
        await store.commit(Put(Kind.REPO, A, {}))
        assert await store.references("", 9) == ["f"]
        await client.txn(client.endpoints.best, [], [drop(key)], [])
        await store.commit(Put(Kind.REPO, A, {}))
        assert await store.references("", 9) == []

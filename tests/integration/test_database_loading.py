"""All records saved from one engine and loaded into another, in the middle of other writes, and cut off."""

from __future__ import annotations

import io
import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import msgspec
import pytest
from typing_extensions import override

from agent.adapters.clock import SystemClock
from agent.adapters.etcd.store import EtcdStore
from agent.adapters.sqlite.store import SqliteStore
from agent.api.routes import ROUTES
from agent.config import Config, Live
from agent.database.backups import Backups
from agent.database.checking import Checker
from agent.database.loading import Loader, batches
from agent.database.saved import Saved
from agent.errors import Conflict, Unavailable
from agent.files.objects import objects
from agent.heads.record import HEADS
from agent.model import Kind
from agent.ports import LARGE, Put, walk_key
from tests.support.database import DatabaseRoom, uid
from tests.support.etcd import Etcd, one_etcd
from tests.support.http import client, served
from tests.support.memory_store import MemoryStore

__all__ = ["one_etcd"]

NUMBER = 230
_roots = itertools.count()
Engine = SqliteStore | EtcdStore | MemoryStore


@pytest.fixture
async def engines(tmp_path: Path, one_etcd: Etcd) -> AsyncIterator[dict[str, Engine]]:
    """Both engines, empty."""
    async with AsyncExitStack() as stack:
        etcd = one_etcd.client()
        stack.push_async_callback(etcd.close)
        opening = EtcdStore.open(etcd, "a" * 32, SystemClock(), tmp_path / "copy.db", root=f"/load{next(_roots)}/")
        yield {
            "sqlite": await stack.enter_async_context(SqliteStore.open(tmp_path / "agent.db")),
            "etcd": await stack.enter_async_context(opening),
        }


def loader(store: Engine, directory: Path) -> Loader:
    """The room over an engine."""

    async def restored() -> None:
        """Nobody keeps anything of it."""

    backups = Backups(store, directory / f"backups-{id(store)}", Live(Config()), SystemClock(), restored)
    specs = {kind: records.spec for kind, records in objects(store).items()}
    return Loader(store, store, specs, backups, lambda: uid(1), SystemClock())


async def fill(store: Engine) -> None:
    """Many images, a boot configuration that has one, a head."""
    images = [
        Put(
            Kind.IMAGE,
            uid(n),
            {"name": f"i{n}", "content": {"filename": f"{n}.img"}},
            f"i{n}",
            references=(f"{n}.img",),
        )
        for n in range(NUMBER)
    ]
    boot = Put(Kind.BOOTCONFIG, uid(1), {"name": "boot", "image": uid(3)}, "boot")
    for batch in batches([*images, boot]):
        await store.commit(*batch)
    await store.commit(Put(Kind.HEAD, uid(1), {"ssh_public": "ssh-ed25519 AAAA"}))


async def held(store: Engine) -> dict[Any, Any]:
    """What it holds of objects."""
    kinds = (Kind.IMAGE, Kind.BOOTCONFIG, Kind.REPO)
    return {(record.kind, record.uid): record.body for kind in kinds for record in await store.records(kind)}


@pytest.mark.parametrize(("source", "target"), [("sqlite", "etcd"), ("etcd", "sqlite")])
async def test_records_go_from_one_engine_to_the_other(
    engines: dict[str, Engine], tmp_path: Path, source: str, target: str
) -> None:
    await fill(engines[source])
    document = await loader(engines[source], tmp_path).save()
    saved = msgspec.json.decode(msgspec.json.encode(document), type=Saved)
    room = loader(engines[target], tmp_path)
    plan = await room.plan(saved)
    assert (len(plan.steps), plan.ignored) == (NUMBER + 1, {"head": 1})
    assert await held(engines[target]) == {}

    loaded = await room.load(saved, plan.plan)

    assert loaded.written == NUMBER + 1
    assert loaded.backup is not None
    assert await held(engines[target]) == await held(engines[source])
    assert await engines[target].references("", 999) == sorted((f"{n}.img" for n in range(NUMBER)), key=walk_key)
    assert await engines[target].records(Kind.HEAD) == []
    again = await room.load(saved)
    assert (again.written, again.backup) == (0, None)


NAMES = list("abcdef")


@pytest.mark.parametrize("engine", ["sqlite", "etcd", "memory"])
@pytest.mark.parametrize("after", ["bacdef", "bcdefg", "gabcde", "bcadfe", "fedcba"])
async def test_names_that_went_from_one_object_to_another_go_back(
    tmp_path: Path, engines: dict[str, Engine], engine: str, after: str
) -> None:
    store = engines.get(engine) or MemoryStore()
    await store.commit(*(Put(Kind.IMAGE, uid(n), {"name": name}, name) for n, name in enumerate(NAMES)))
    before, room = await held(store), loader(store, tmp_path)
    saved = await room.save()
    await store.commit(*(Put(Kind.IMAGE, uid(n), {"name": "-"}) for n in range(len(NAMES))))
    await store.commit(*(Put(Kind.IMAGE, uid(n), {"name": name}, name) for n, name in enumerate(after)))
    changed = sum(old != new for old, new in zip(NAMES, after, strict=True))
    assert (await room.load(saved)).written == changed
    assert await held(store) == before
    found = [await store.find(Kind.IMAGE, name) for name in NAMES]
    assert [image.uid for image in found if image] == [uid(n) for n in range(len(NAMES))]


async def test_a_plan_that_is_no_longer_right_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    store = MemoryStore()
    room = loader(store, tmp_path)
    await fill(store)
    saved = await room.save()
    await store.commit(Put(Kind.IMAGE, uid(5), {"name": "changed"}, "changed"))
    shown = await room.plan(saved)
    await store.commit(Put(Kind.IMAGE, uid(6), {"name": "changed too"}, "changed too"))
    before = await held(store)
    with pytest.raises(Conflict) as refused:
        await room.load(saved, shown.plan)
    assert refused.value.code == "plan-changed"
    assert {step.uid for step in refused.value.data.steps} == {uid(5), uid(6)}
    assert await held(store) == before


async def test_a_load_that_is_cut_off_says_how_far_it_came_and_is_ended_by_another(tmp_path: Path) -> None:
    source, target = MemoryStore(), _Fails()
    await fill(source)
    saved = await loader(source, tmp_path).save()
    room = loader(target, tmp_path)
    target.left = 1
    with pytest.raises(Unavailable, match="40 of 231 records are loaded: load it again for the rest"):
        await room.load(saved)
    assert len(await held(target)) == 40
    assert room.progress is None
    target.left = 99
    assert (await room.load(saved)).written == 191
    assert await held(target) == await held(source)


class _Fails(MemoryStore):
    """Takes only so many commits."""

    left = 0

    @override
    async def commit(self, *changes: Any) -> int:
        if not self.left:
            raise Unavailable("the disk is full")
        self.left -= 1
        return await super().commit(*changes)


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[tuple[aiohttp.ClientSession, DatabaseRoom]]:
    room = DatabaseRoom(tmp_path / "backups")
    specs = {kind: records.spec for kind, records in objects(room.store).items()}
    rooms = {
        "live": room.live,
        "cleaner": room.cleaner,
        "loader": Loader(room.store, room.store, specs, room.backups, lambda: uid(1), room.clock),
        "engines": SimpleNamespace(progress=None),
        "checker": Checker(room.store, room.store, room.cleaner, {Kind.HEAD: HEADS, **specs}),
    }
    rows = [route for route in ROUTES if route.path.startswith("/database/")]
    async with served(tmp_path / "s", rows, rooms=rooms), client(tmp_path / "s") as session:
        yield session, room


async def test_a_document_is_answered_and_taken_back(http: tuple[aiohttp.ClientSession, DatabaseRoom]) -> None:
    session, room = http
    await fill(room.store)
    async with session.get("/database/records") as answer:
        saved = (await answer.json())["data"]
    await room.store.commit(Put(Kind.IMAGE, uid(5), {"name": "changed"}, "changed"))
    async with session.post("/database/load?dry_run=1", json={"saved": saved}) as answer:
        plan = (await answer.json())["data"]
    assert [(step["action"], step["fields"]) for step in plan["steps"]] == [("change", ["content", "name"])]
    async with session.post("/database/load", json={"saved": saved, "plan": plan["plan"]}) as answer:
        assert (await answer.json())["data"]["written"] == 1
    async with session.get("/database/progress") as answer:
        assert (await answer.json())["data"] is None


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"format": "x"}, 422, "format"),
        ({"records": [{"kind": "image", "uid": "x", "body": {}}]}, 422, "invalid"),
        ({"records": [{"kind": "none", "uid": "x", "body": {}}]}, 422, "invalid"),
        ({"more": 1}, 422, "invalid"),
        ({"records": None}, 422, "invalid"),
    ],
)
async def test_a_document_that_is_not_one_is_refused(
    http: tuple[aiohttp.ClientSession, DatabaseRoom], change: dict[str, Any], status: int, code: str
) -> None:
    session, _ = http
    async with session.get("/database/records") as answer:
        saved = (await answer.json())["data"]
    async with session.post("/database/load", json={"saved": {**saved, **change}}) as answer:
        document = await answer.json()
    assert (answer.status, document["code"]) == (status, code)


async def test_a_document_that_is_too_large_is_refused_with_the_way_out(
    http: tuple[aiohttp.ClientSession, DatabaseRoom],
) -> None:
    session, _ = http
    async with session.post("/database/load", data=io.BytesIO(bytes(LARGE + 1))) as answer:
        document = await answer.json()
    assert (answer.status, document["code"]) == (413, "too-large")
    assert "load it in parts" in document["reason"]
    assert "api.max_body" not in document["reason"]


async def test_a_check_finds_what_is_wrong_with_records_and_where_they_lead(
    http: tuple[aiohttp.ClientSession, DatabaseRoom],
) -> None:
    session, room = http
    await room.store.commit(
        Put(Kind.IMAGE, uid(1), {"name": "a/b"}, "a/b"),
        Put(Kind.BOOTCONFIG, uid(2), {"name": "boot", "image": uid(9)}, "boot"),
        Put(Kind.HEAD, uid(3), {"ssh_public": "nonsense", "generation": 1}),
    )
    async with session.get("/database/check") as answer:
        told = (await answer.json())["data"]
    assert {(found["kind"], found["field"]) for found in told["findings"]} == {
        ("image", "name"),
        ("bootconfig", "image"),
        ("head", "ssh_public"),
    }
    assert (told["problems"], told["total"], told["records"]["image"]) == ([], 3, 1)
    room.store.problem = "it is damaged"
    async with session.get("/database/check") as answer:
        assert answer.status == 200
        assert "it is damaged" in (await answer.json())["data"]["problems"][0]

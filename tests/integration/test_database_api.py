"""The database room over HTTP: what a client sees of a clean, a backup, a restore, a leave."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from agent.api.openapi import described
from agent.api.routes import ROUTES
from agent.loops import Loops
from agent.model import Kind
from agent.ports import Leftover, Put
from tests.support.database import DatabaseRoom, uid
from tests.support.http import client, served
from tests.support.moving import MovingHead

ROWS = [route for route in ROUTES if route.path.startswith(("/database/", "/healthz", "/readyz", "/openapi"))]


@pytest.fixture
async def room(tmp_path: Path) -> DatabaseRoom:
    room = DatabaseRoom(tmp_path / "backups")
    room.housekeeping.left["upload", "a.part"] = Leftover("upload", "a.part", "nobody writes to it", 5)
    await room.tombstone(2, days_ago=90)
    return room


@pytest.fixture
async def http(room: DatabaseRoom, tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    rooms = {
        "live": room.live,
        "loops": Loops(),
        "dependencies": (),
        "openapi": described(ROWS),
        "cleaner": room.cleaner,
        "backups": room.backups,
        "membership": MovingHead(1, tmp_path / "more", room.store).membership,
    }
    async with served(tmp_path / "s", ROWS, rooms=rooms), client(tmp_path / "s") as session:
        yield session


async def test_plan_that_was_shown_is_performed(http: aiohttp.ClientSession) -> None:
    async with http.get("/api/v1/database/clean") as answer:
        shown = (await answer.json())["data"]
    assert set(shown) == {"plan", "actions", "findings", "totals"}
    assert set(shown["actions"][0]) == {"action", "kind", "target", "reason", "bytes"}
    async with http.post("/database/clean", json={"plan": shown["plan"]}) as answer:
        done = (await answer.json())["data"]
        assert answer.status == 200
    assert set(done) == {*shown, "performed", "skipped", "backup"}
    assert [action["target"] for action in done["performed"]] == [uid(2), "a.part"]
    assert done["backup"]["name"].endswith("Z.db")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 200, None),
        (b"{}", 200, None),
        (b'{"plan": null}', 200, None),
        (b'{"plan": "0"}', 409, "plan-changed"),
        (b'{"plan": 7}', 422, "invalid"),
        (b'{"plna": "x"}', 422, "invalid"),
        (b"plan", 400, "malformed"),
    ],
)
async def test_body_of_a_clean(http: aiohttp.ClientSession, body: bytes, status: int, code: str | None) -> None:
    async with http.post("/database/clean", data=body) as answer:
        document = await answer.json()
        assert (answer.status, document.get("code")) == (status, code)
    if code == "plan-changed":
        assert document["data"]["actions"]


async def test_backup_is_made_listed_and_brought_back(http: aiohttp.ClientSession, room: DatabaseRoom) -> None:
    async with http.post("/database/backups") as answer:
        made = (await answer.json())["data"]
        assert answer.status == 201
    await room.store.commit(Put(Kind.IMAGE, uid(7), {}, "later"))
    async with http.get("/database/backups") as answer:
        assert (await answer.json())["data"] == [made]
    async with http.post("/database/restore", json={"name": made["name"]}) as answer:
        assert (await answer.json())["data"]["name"] == made["name"]
    assert await room.store.records(Kind.IMAGE) == []
    async with http.post("/database/restore", json={"name": "../agent.db"}) as answer:
        assert (answer.status, (await answer.json())["code"]) == (404, "no-such-backup")


async def test_head_alone_is_told_why_it_cannot_leave(http: aiohttp.ClientSession, room: DatabaseRoom) -> None:
    await room.head(1)
    async with http.post("/database/leave") as answer:
        document = await answer.json()
        assert (answer.status, document["code"]) == (409, "alone")
        assert "nothing was changed" in document["reason"]


async def test_without_the_database_a_backup_can_still_be_found(
    http: aiohttp.ClientSession, room: DatabaseRoom
) -> None:
    made = await room.backups.make()
    room.store.problem = "it is damaged"
    for method, path in (("GET", "/database/clean"), ("POST", "/database/clean"), ("POST", "/database/leave")):
        async with http.request(method, path) as answer:
            assert (answer.status, (await answer.json())["success"]) == (503, False)
    async with http.post("/database/restore", json={"name": made.name}) as answer:
        assert answer.status == 200
    async with http.get("/database/clean") as answer:
        assert answer.status == 200


async def test_description_is_a_bare_document(http: aiohttp.ClientSession) -> None:
    async with http.get("/openapi.json") as answer:
        document = await answer.json()
    assert document["openapi"].startswith("3.1")
    assert "/database/clean" in document["paths"]


async def test_health_answers(http: aiohttp.ClientSession) -> None:
    for path in ("/healthz", "/readyz"):
        async with http.get(path) as answer:
            assert (answer.status, (await answer.json())["success"]) == (200, True)

"""Images, boot configurations and repositories over HTTP, on the embedded store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from yarl import URL

from agent.adapters.sqlite.store import SqliteStore
from agent.api.call import Access
from agent.api.routes import ROUTES
from agent.files.objects import objects
from tests.support.databases import overwrite
from tests.support.http import client, served

KINDS = [("/images", "/image", "Images"), ("/bootconfigs", "/bootconfig", "BootConfigs"), ("/repos", "/repo", "Repos")]
ROWS = [row for row in ROUTES if row.path.startswith(("/image", "/bootconfig", "/repo"))]


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    async with (
        SqliteStore.open(tmp_path / "agent.db") as store,
        served(tmp_path / "socket", ROWS, rooms={"objects": objects(store)}),
        client(tmp_path / "socket") as session,
    ):
        yield session


async def ask(
    http: aiohttp.ClientSession, method: str, path: str, sent: Any = None, etag: str | None = None
) -> tuple[int, dict[str, Any], str | None]:
    """Status, body and ETag of an answer."""
    headers = {"If-Match": etag} if etag else {}
    async with http.request(method, path, json=sent, headers=headers) as response:
        return response.status, await response.json(), response.headers.get("ETag")


@pytest.mark.parametrize(("plural", "singular", "_permission"), KINDS)
async def test_an_objects_life(http: aiohttp.ClientSession, plural: str, singular: str, _permission: str) -> None:
    status, answer, etag = await ask(http, "POST", plural, {"name": "n", "description": "one"})
    uid = answer["data"]
    assert (status, len(uid)) == (201, 32)
    for key in (uid, "n"):
        status, answer, same = await ask(http, "GET", f"/api/v1{singular}/{key}")
        assert (status, same, list(answer["data"])) == (200, etag, [uid])
    status, answer, changed = await ask(http, "PATCH", f"{singular}/n", {"description": "two"}, etag)
    assert (status, answer["data"][uid]["description"]) == (200, "two")
    status, answer, _ = await ask(http, "PUT", f"{singular}/{uid}", {"name": "m"}, etag)
    assert (status, answer["code"]) == (412, "stale")
    status, answer, changed = await ask(http, "PUT", f"{singular}/{uid}", {"name": "m"}, changed)
    assert (status, answer["data"][uid]["description"]) == (200, "")
    status, answer, _ = await ask(http, "GET", plural)
    assert list(answer["data"]) == [uid]
    status, answer, _ = await ask(http, "POST", plural, {"name": "m"})
    assert (status, answer["code"]) == (409, "name-taken")
    assert await ask(http, "DELETE", f"{singular}/m", etag=changed) == (200, {"success": True, "data": uid}, None)
    status, answer, _ = await ask(http, "DELETE", f"{singular}/m")
    assert (status, answer["code"]) == (404, "not-found")


@pytest.mark.parametrize(("plural", "_singular", "_permission"), KINDS)
async def test_meta_tells_the_fields(
    http: aiohttp.ClientSession, plural: str, _singular: str, _permission: str
) -> None:
    status, answer, _ = await ask(http, "GET", f"{plural}/meta")
    assert status == 200
    assert [name for name, field in answer["data"].items() if field["required"]] == ["name"]


@pytest.mark.parametrize(("plural", "singular", "permission"), KINDS)
def test_each_kind_has_permissions_of_its_own(plural: str, singular: str, permission: str) -> None:
    rows = {(row.method, row.path): row for row in ROWS if row.path.startswith((plural, singular + "/"))}
    assert len(rows) == 7
    for (method, _), row in rows.items():
        assert row.access is Access.TOKEN
        assert row.permission == permission + ("Read" if method == "GET" else "Write")


async def test_an_unknown_image_is_named(http: aiohttp.ClientSession) -> None:
    status, answer, _ = await ask(http, "POST", "/bootconfigs", {"name": "n", "image": "nobody"})
    assert status == 422
    assert answer["errors"] == [{"field": "image", "reason": "there is no image with that uid or name"}]


async def test_frozen_is_a_conflict(http: aiohttp.ClientSession) -> None:
    await ask(http, "POST", "/images", {"name": "n", "frozen": True})
    for method, sent in (("DELETE", None), ("PATCH", {"description": "d"}), ("PUT", {"name": "m"})):
        status, answer, _ = await ask(http, method, "/image/n", sent)
        assert (status, answer["code"]) == (409, "frozen")


@pytest.mark.parametrize("name", ["Rocky 9.4 (x86_64)", "größe", "a+b", "100%", "a?b#c", "'; --", "meta", "self"])
async def test_a_name_can_be_anything_printable(http: aiohttp.ClientSession, name: str) -> None:
    await ask(http, "POST", "/images", {"name": name})
    async with http.get(URL(f"/image/{quote(name, safe='')}", encoded=True)) as response:
        shown = list((await response.json())["data"].values())
    assert [record["name"] for record in shown] == [name]


async def test_a_damaged_database_is_503_with_the_reason_and_no_path(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    async with SqliteStore.open(path):
        pass
    overwrite(path, 0, b"garbage " * 20)
    async with (
        SqliteStore.open(path) as store,
        served(tmp_path / "socket", ROWS, rooms={"objects": objects(store)}),
        client(tmp_path / "socket") as http,
    ):
        for method, where, sent in (
            ("GET", "/images", None),
            ("POST", "/images", {"name": "n"}),
            ("GET", "/image/n", None),
            ("PATCH", "/repo/n", {}),
            ("DELETE", "/bootconfig/n", None),
        ):
            status, answer, _ = await ask(http, method, where, sent)
            assert (status, answer["code"]) == (503, "database-damaged")
            assert str(tmp_path) not in answer["reason"]

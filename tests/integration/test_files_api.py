"""The files room over HTTP: what is answered, and what bad requests get."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agent.api.routes import ROUTES
from agent.heads.members import Members
from agent.model import Head
from tests.support.files import SELF, FilesRoom, SetReferences
from tests.support.http import client, served
from tests.support.memory_files import MemoryFiles

ISO = b"\0" * 32769 + b"CD001" + b"\0" * 2043


@pytest.fixture
def files() -> MemoryFiles:
    """A store with a referenced image, an unused one, a dead upload, and a file in use."""
    files = MemoryFiles()
    files.put("compute.squashfs", b"hsqs")
    files.put("install.iso", b"hsqs")
    files.put("rescue.iso", ISO)
    files.put("new.iso.part")
    files.put("open", busy="is in use")
    return files


@pytest.fixture
def room(files: MemoryFiles) -> FilesRoom:
    """The collector over it."""
    return FilesRoom(files, SetReferences({"compute.squashfs", "install.iso", "not-here"}))


@pytest.fixture
def by_hand() -> dict[str, Head]:
    """Heads that were registered by hand: none yet."""
    return {}


@pytest.fixture
async def http(room: FilesRoom, by_hand: dict[str, Head], tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of the room."""
    routes = [route for route in ROUTES if route.path.startswith("/head/files/")]
    heads = {SELF: Head(ssh_public="x"), "b" * 32: Head(ssh_public="x", url="https://10.0.0.2:52390")}
    rooms = {
        "collector": room.collector,
        "references": room.references,
        "engine": room.records,
        "members": lambda: Members("cluster", SELF, {**heads, **by_hand}, {}, 1),
    }
    async with (
        served(tmp_path / "s", routes, rooms=rooms),
        client(tmp_path / "s") as session,
    ):
        yield session


async def _ask(http: aiohttp.ClientSession, method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
    async with http.request(method, f"/api/v1/head/files/{path}", json=body) as answer:
        return answer.status, await answer.json()


async def test_unused_files_are_listed_with_their_kind_and_reason(http: aiohttp.ClientSession) -> None:
    status, answer = await _ask(http, "GET", "unused")
    assert status == 200
    modified = "2030-03-17T17:46:40.000Z"
    assert answer["data"] == [
        {"filename": "new.iso.part", "kind": "other", "size": 1, "modified": modified, "reason": "leftover"},
        {"filename": "rescue.iso", "kind": "ISO 9660", "size": 34817, "modified": modified, "reason": "unreferenced"},
    ]
    assert answer["meta"] == {"files": 2, "bytes": 34818, "scanned": 5, "took": 0.0}


async def test_a_removal_tells_what_went_and_what_stayed(http: aiohttp.ClientSession, files: MemoryFiles) -> None:
    status, answer = await _ask(http, "DELETE", "unused?dry_run=1")
    assert (status, len(answer["data"]), len(files.files)) == (200, 2, 5)
    status, answer = await _ask(http, "DELETE", "unused")
    assert status == 200
    assert [row["filename"] for row in answer["data"]] == ["new.iso.part", "rescue.iso"]
    assert answer["kept"] == [{"filename": "open", "reason": "is in use"}]
    assert answer["meta"]["files"] == 2
    assert set(files.files) == {"compute.squashfs", "install.iso", "open"}


async def test_those_that_are_named_go_alone(http: aiohttp.ClientSession, files: MemoryFiles) -> None:
    body = {"filenames": ["rescue.iso", "install.iso"]}
    status, answer = await _ask(http, "POST", "remove?dry_run=1", body)
    assert (status, len(answer["data"]), len(files.files)) == (200, 1, 5)
    status, answer = await _ask(http, "POST", "remove", body)
    assert status == 200
    assert [row["filename"] for row in answer["data"]] == ["rescue.iso"]
    assert answer["kept"] == [{"filename": "install.iso", "reason": "is referred to"}]
    assert set(files.files) == {"compute.squashfs", "install.iso", "new.iso.part", "open"}


@pytest.mark.parametrize(
    "body", [None, {}, {"filenames": None}, {"filenames": "rescue.iso"}, {"names": ["rescue.iso"]}]
)
async def test_a_removal_of_some_that_does_not_say_which_removes_none(
    http: aiohttp.ClientSession, files: MemoryFiles, body: Any
) -> None:
    status, answer = await _ask(http, "POST", "remove", body)
    assert (status // 100, answer["success"], len(files.files)) == (4, False, 5)


async def test_how_far_it_is_can_be_asked_at_any_time(http: aiohttp.ClientSession) -> None:
    status, answer = await _ask(http, "GET", "progress")
    assert (status, answer["data"]) == (200, None)


async def test_a_removal_that_looks_like_a_mistake_needs_force(
    http: aiohttp.ClientSession, room: FilesRoom, files: MemoryFiles
) -> None:
    room.references.names.clear()
    status, answer = await _ask(http, "DELETE", "unused")
    assert (status, answer["code"], len(files.files)) == (409, "suspicious", 5)
    status, answer = await _ask(http, "DELETE", "unused?dry_run=1")
    assert status == 200
    assert "no object refers" in answer["meta"]["refused"]
    status, answer = await _ask(http, "DELETE", "unused?force=1")
    assert (status, len(answer["data"])) == (200, 4)


async def test_without_the_references_nothing_is_answered_or_removed(
    http: aiohttp.ClientSession, room: FilesRoom, files: MemoryFiles
) -> None:
    room.references.away = "the database is away"
    for method, path in (("GET", "unused"), ("DELETE", "unused?force=1"), ("GET", "references")):
        status, answer = await _ask(http, method, path)
        assert (status, answer["code"], answer["reason"]) == (503, "unavailable", "the database is away")
    assert len(files.files) == 5


async def test_a_head_that_has_no_url_is_told_not_to_have_been_asked(
    http: aiohttp.ClientSession, room: FilesRoom, by_hand: dict[str, Head]
) -> None:
    assert "not_asked" not in (await _ask(http, "GET", "unused"))[1]["meta"]
    by_hand["c" * 32] = Head(ssh_public="x")
    for method in ("GET", "DELETE"):
        assert (await _ask(http, method, "unused"))[1]["meta"]["not_asked"] == ["c" * 32]
    room.records.kind = "etcd"
    assert "not_asked" not in (await _ask(http, "GET", "unused"))[1]["meta"]


async def test_references_are_listed(http: aiohttp.ClientSession) -> None:
    status, answer = await _ask(http, "GET", "references")
    assert (status, answer["data"]) == (200, ["compute.squashfs", "install.iso", "not-here"])


async def test_references_come_in_pages(http: aiohttp.ClientSession) -> None:
    pages = [(await _ask(http, "GET", f"references?{query}"))[1]["data"] for query in ("limit=2", "after=install.iso")]
    assert pages == [["compute.squashfs", "install.iso"], ["not-here"]]
    assert (await _ask(http, "GET", "references?after=not-here&limit=2"))[1]["data"] == []


@pytest.mark.parametrize("query", ["limit=0", "limit=10001", "limit=-1", "limit=x", "limit=1&limit=2", "limit="])
async def test_a_page_has_a_sound_limit(http: aiohttp.ClientSession, query: str) -> None:
    assert (await _ask(http, "GET", f"references?{query}"))[0] == 422


async def test_of_some_filenames_those_that_are_referred_to_are_named(http: aiohttp.ClientSession) -> None:
    asked = {"filenames": ["rescue.iso", "not-here", "install.iso"]}
    status, answer = await _ask(http, "POST", "references", asked)
    assert (status, answer["data"]) == (200, ["install.iso", "not-here"])


async def test_removed_files_are_listed_restored_and_let_go(http: aiohttp.ClientSession, files: MemoryFiles) -> None:
    await _ask(http, "DELETE", "unused")
    status, answer = await _ask(http, "GET", "trash")
    assert status == 200
    assert answer["data"][1] == {
        "filename": "rescue.iso",
        "slot": "1",
        "size": 34817,
        "removed": "2030-03-17T17:46:40.000Z",
    }
    status, answer = await _ask(http, "POST", "restore", {"filenames": ["rescue.iso"]})
    assert (status, [row["filename"] for row in answer["data"]], answer["kept"]) == (200, ["rescue.iso"], [])
    assert "rescue.iso" in files.files
    status, answer = await _ask(http, "DELETE", "trash")
    assert (status, [row["filename"] for row in answer["data"]]) == (200, ["new.iso.part"])
    assert (await _ask(http, "GET", "trash"))[1]["data"] == []


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, 422),
        ({"filenames": []}, 422),
        ({"filenames": "rescue.iso"}, 422),
        ({"filenames": [7]}, 422),
        ({"filenames": ["rescue.iso", "rescue.iso"]}, 422),
        ({"filenames": ["rescue.iso"], "force": True}, 422),
        ({"filenames": ["nothing"]}, 404),
        ({"filenames": ["../../etc/passwd"]}, 404),
        ({"filenames": ["rescue.iso"], "slot": "9"}, 404),
        ({"filenames": ["rescue.iso", "new.iso.part"]}, 409),
        (["rescue.iso"], 400),
    ],
)
async def test_a_restore_that_cannot_be_changes_nothing(
    http: aiohttp.ClientSession, files: MemoryFiles, body: Any, expected: int
) -> None:
    await _ask(http, "DELETE", "unused")
    files.put("new.iso.part", b"another")
    status, answer = await _ask(http, "POST", "restore", body)
    assert (status, answer["success"]) == (expected, False)
    assert "rescue.iso" not in files.files


@pytest.mark.parametrize("query", ["dry_run=maybe", "force=2"])
async def test_switches_are_switches(http: aiohttp.ClientSession, files: MemoryFiles, query: str) -> None:
    status, _ = await _ask(http, "DELETE", f"unused?{query}")
    assert (status, len(files.files)) == (422, 5)

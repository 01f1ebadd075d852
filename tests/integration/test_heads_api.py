"""Heads over HTTP, on the embedded store: the verbs, the envelope, preconditions, the heads that are down."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from agent.adapters.clock import SystemClock
from agent.adapters.sqlite.store import SqliteStore
from agent.api.routes import ROUTES
from agent.config import Config, Live
from agent.heads.directory import HeadDirectory
from agent.heads.liveness import Condition, Outlook, Standing, State
from agent.heads.members import Members
from agent.heads.registry import HeadRegistry
from agent.model import Head
from tests.support.head_records import body
from tests.support.http import client, served
from tests.support.logs import log_lines
from tests.support.people import ME, OTHER, PEER
from tests.support.ssh import pair
from tests.support.unwatched import unwatched

ROWS = [
    row
    for row in ROUTES
    if row.path.startswith(("/heads", "/head/{uid}")) and row.permission in ("HeadsRead", "HeadsWrite")
]


@pytest.fixture
def engine() -> SimpleNamespace:
    """What the records are kept in."""
    return SimpleNamespace(kind="sqlite", age=None)


@pytest.fixture
def dead() -> set[str]:
    """The heads that are found to be down."""
    return set()


@pytest.fixture
async def http(tmp_path: Path, engine: SimpleNamespace, dead: set[str]) -> AsyncIterator[aiohttp.ClientSession]:
    clock = SystemClock()
    nobody = unwatched(clock.now())

    def watch(members: Members, now: datetime) -> Outlook:
        outlook = nobody(members, now)
        found = dict.fromkeys(dead & members.heads.keys(), Condition(State.DOWN))
        return (
            outlook._replace(standing=Standing.MAJORITY, conditions={**outlook.conditions, **found})
            if dead
            else outlook
        )

    async with SqliteStore.open(tmp_path / "agent.db") as store:
        registry = HeadRegistry(store, ME, clock)
        await registry.ensure_self(Head(ssh_public=pair("ed25519").public, addresses=("10.0.0.1",)))
        heads = HeadDirectory(store, registry, clock, watch, Live(Config()))
        rooms = {"heads": heads, "engine": engine}
        async with served(tmp_path / "socket", ROWS, rooms=rooms), client(tmp_path / "socket") as session:
            yield session


async def ask(
    http: aiohttp.ClientSession, method: str, path: str, sent: Any = None, **headers: str
) -> tuple[int, dict[str, Any], str | None]:
    """Status, body and ETag of an answer."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    async with http.request(method, path, json=sent, headers=given) as response:
        return response.status, await response.json(), response.headers.get("ETag")


async def test_a_heads_life(http: aiohttp.ClientSession) -> None:
    status, answer, etag = await ask(http, "POST", "/api/v1/heads", body(PEER, description="two"))
    assert (status, answer["success"], answer["data"]) == (201, True, PEER)
    assert "neither ca_pem nor addresses" in answer["meta"]["warnings"][0]
    status, answer, same = await ask(http, "GET", f"/head/{PEER}")
    assert (status, same, answer["self"]) == (200, etag, ME)
    assert answer["data"][PEER]["description"] == "two"
    status, answer, changed = await ask(http, "PATCH", f"/head/{PEER}", {"description": "2"}, If_Match=str(etag))
    assert (status, answer["data"][PEER]["description"]) == (200, "2")
    assert changed != etag
    status, answer, _ = await ask(http, "PUT", f"/head/{PEER}", {"description": "3"}, If_Match=str(etag))
    assert (status, answer["code"]) == (412, "stale")
    status, answer, _ = await ask(http, "DELETE", f"/head/{PEER}", If_Match=str(changed))
    assert (status, answer) == (200, {"success": True, "data": PEER})
    status, answer, _ = await ask(http, "GET", f"/head/{PEER}")
    assert (status, answer["code"]) == (404, "not-found")
    status, answer, _ = await ask(http, "POST", "/heads", body(PEER))
    status, answer, _ = await ask(http, "GET", "/heads")
    assert answer["data"][PEER]["generation"] == 2


async def test_whoever_removes_a_head_is_told_that_etcd_still_takes_its_certificate(
    http: aiohttp.ClientSession, engine: SimpleNamespace
) -> None:
    engine.kind = "etcd"
    await ask(http, "POST", "/heads", body(PEER))
    _, answer, _ = await ask(http, "DELETE", f"/head/{PEER}")
    (warning,) = answer["meta"]["warnings"]
    assert "cw-headctl ca rotate" in warning
    _, answer, _ = await ask(http, "DELETE", "/heads/down")
    assert "warnings" not in answer["meta"]


async def test_the_list_tells_states_and_standing(http: aiohttp.ClientSession) -> None:
    status, answer, _ = await ask(http, "GET", "/api/v1/heads")
    assert status == 200
    assert {uid: head["state"] for uid, head in answer["data"].items()} == {ME: "up"}
    assert answer["meta"] == {"self": ME, "timeout": 5.0, "standing": "alone", "verdict": "local", "unknown": []}


async def test_a_head_alone_has_no_heads_down(http: aiohttp.ClientSession) -> None:
    alone = {"standing": "alone", "verdict": "local", "unknown": []}
    assert await ask(http, "GET", "/heads/down") == (200, {"success": True, "data": [], "meta": alone}, None)
    for query, dry_run in (("", False), ("?dry_run=1", True)):
        status, answer, _ = await ask(http, "DELETE", f"/heads/down{query}")
        assert (status, answer["data"], answer["kept"], answer["meta"]["dry_run"]) == (200, [], [], dry_run)


async def test_the_heads_that_were_removed_are_in_the_audit_line_by_uid(
    http: aiohttp.ClientSession, dead: set[str]
) -> None:
    for uid in (PEER, OTHER):
        await ask(http, "POST", "/heads", body(uid))
    dead |= {PEER, OTHER}
    with log_lines() as lines:
        _, answer, _ = await ask(http, "DELETE", "/heads/down")
    assert [head["uid"] for head in answer["data"]] == [PEER, OTHER]
    (line,) = (line for line in lines if line.get("audit") and line["route"] == "/heads/down")
    assert line["head_uid"] == [PEER, OTHER]


async def test_a_head_that_was_never_heard_is_unknown_and_stays(http: aiohttp.ClientSession) -> None:
    await ask(http, "POST", "/heads", body(PEER))
    _, answer, _ = await ask(http, "GET", "/heads/down")
    assert (answer["data"], answer["meta"]["unknown"]) == ([], [PEER])
    _, answer, _ = await ask(http, "DELETE", "/heads/down")
    assert (answer["data"], [entry["uid"] for entry in answer["kept"]]) == ([], [PEER])
    await ask(http, "POST", "/heads", body(OTHER))
    status, answer, _ = await ask(http, "DELETE", "/heads/down")
    assert (status, answer["code"]) == (409, "minority")
    _, answer, _ = await ask(http, "GET", "/heads")
    assert list(answer["data"]) == [ME, PEER, OTHER]


async def test_meta_tells_the_fields(http: aiohttp.ClientSession) -> None:
    status, answer, _ = await ask(http, "GET", "/heads/meta")
    assert status == 200
    required = [name for name, field in answer["data"].items() if field["required"]]
    assert required == ["uid", "ssh_public"]
    assert answer["data"]["state"]["read_only"]


@pytest.mark.parametrize("uid", [ME, "self"])
async def test_this_head_is_not_deleted(http: aiohttp.ClientSession, uid: str) -> None:
    status, answer, _ = await ask(http, "DELETE", f"/head/{uid}")
    assert (status, answer["code"]) == (409, "self")
    assert "/database/leave" in answer["reason"]


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"5", b'"x"', b"null", b"\xff", b'{"a":' * 5000, b'{"uid": NaN}'])
@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
async def test_a_body_that_is_no_object_is_malformed(http: aiohttp.ClientSession, raw: bytes, method: str) -> None:
    path = "/heads" if method == "POST" else f"/head/{ME}"
    async with http.request(method, path, data=raw) as response:
        answer = await response.json()
    assert (response.status, answer["success"], answer["code"]) == (400, False, "malformed")


async def test_every_fault_of_a_body_is_listed(http: aiohttp.ClientSession) -> None:
    sent = {"uid": "x", "ca_pem": "x", "addresses": ["x"], "colour": "red"}
    status, answer, _ = await ask(http, "POST", "/heads", sent)
    assert (status, answer["code"]) == (422, "invalid")
    assert [fault["field"] for fault in answer["errors"]] == ["uid", "ca_pem", "addresses", "colour", "ssh_public"]
    assert all(fault["reason"] for fault in answer["errors"])


async def test_curls_form_type_is_no_obstacle(http: aiohttp.ClientSession) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    async with http.patch("/head/self", data=b'{"description": "d"}', headers=headers) as response:
        assert response.status == 200


@pytest.mark.parametrize(("etag", "status"), [("*", 200), ('"999"', 412), ('W/"999"', 412), ("x", 400), ('"-1"', 400)])
async def test_preconditions(http: aiohttp.ClientSession, etag: str, status: int) -> None:
    found, answer, _ = await ask(http, "PATCH", "/head/self", {"description": "d"}, If_Match=etag)
    assert (found, answer["success"]) == (status, status == 200)

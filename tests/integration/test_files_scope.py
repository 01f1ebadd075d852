"""The files of the whole cluster through one head: every head's own answer, or why there is none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from agent.api.routes import ROUTES
from agent.heads.liveness import Condition, Outlook, Standing, State
from agent.heads.members import Members
from agent.model import Head
from tests.support.files import FilesRoom, SetReferences
from tests.support.http import client, served
from tests.support.memory_files import MemoryFiles
from tests.support.memory_store import MemoryStore
from tests.support.peers import MemoryPeers, answers, at_socket

A, B, C = "a" * 32, "b" * 32, "c" * 32
UIDS = (A, B, C)
FILES = [route for route in ROUTES if route.path.startswith("/head/files/")]


class Cluster:
    """Three heads with one database and a file store each, and what head A thinks of the others."""

    def __init__(self) -> None:
        self.files = {uid: MemoryFiles() for uid in UIDS}
        self.records = MemoryStore(kind="etcd")
        self.rooms = {
            uid: FilesRoom(files, SetReferences({"used", "too"}), uid=uid, records=self.records)
            for uid, files in self.files.items()
        }
        self.peers = MemoryPeers()
        self.outlook = Outlook(Standing.MAJORITY, "local", dict.fromkeys(UIDS, Condition(State.UP)))
        for uid, files in self.files.items():
            for name in ("used", "too", f"unused-{uid[0]}"):
                files.put(name)

    def entered(self, uid: str) -> dict[str, object]:
        """The rooms of one head."""
        heads = dict.fromkeys(UIDS, Head(ssh_public="x"))
        return {
            "collector": self.rooms[uid].collector,
            "references": self.rooms[uid].references,
            "members": lambda: Members("cluster", uid, heads, {}, 1),
            "heads": SimpleNamespace(outlook=lambda: self.outlook),
            "peers": self.peers,
            "engine": self.records,
        }

    def say(self, uid: str, state: State) -> None:
        """Have head A think so of a head."""
        self.outlook = self.outlook._replace(conditions={**self.outlook.conditions, uid: Condition(state)})


@pytest.fixture
def cluster() -> Cluster:
    """Three heads with two files in use and one unused."""
    return Cluster()


@pytest.fixture
async def http(cluster: Cluster, tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of head A."""
    async with AsyncExitStack() as stack:
        for uid in UIDS:
            await stack.enter_async_context(served(tmp_path / uid, FILES, rooms=cluster.entered(uid)))
            cluster.peers.heads[uid] = at_socket(tmp_path / uid)
        yield await stack.enter_async_context(client(tmp_path / A))


async def _ask(http: aiohttp.ClientSession, method: str, path: str) -> tuple[int, dict[str, Any]]:
    async with http.request(method, f"/api/v1/head/files/{path}", headers={"X-Request-Id": "r1"}) as answer:
        return answer.status, await answer.json()


async def test_every_head_lists_its_own_unused_files(http: aiohttp.ClientSession, cluster: Cluster) -> None:
    status, answer = await _ask(http, "GET", "unused?scope=cluster")
    assert (status, answer["success"]) == (200, True)
    assert answer["meta"] == {"scope": "cluster", "heads": 3, "failed": []}
    for uid in UIDS:
        assert [row["filename"] for row in answer["data"][uid]["data"]] == [f"unused-{uid[0]}"]
        assert answer["data"][uid]["meta"]["scanned"] == 3
    assert {(asked.uid, asked.path, asked.headers["X-Request-Id"]) for asked in cluster.peers.asked} == {
        (uid, "/head/files/unused", "r1") for uid in (B, C)
    }


async def test_every_head_removes_its_own_and_tells_what_it_kept(http: aiohttp.ClientSession, cluster: Cluster) -> None:
    cluster.files[B].put("open", busy="is in use")
    status, answer = await _ask(http, "DELETE", "unused?scope=cluster&dry_run=1")
    assert (status, all(len(files.files) >= 3 for files in cluster.files.values())) == (200, True)
    status, answer = await _ask(http, "DELETE", "unused?scope=cluster&force=1")
    assert status == 200
    assert answer["data"][B]["kept"] == [{"filename": "open", "reason": "is in use"}]
    assert {asked.path for asked in cluster.peers.asked if "force" in asked.path} == {"/head/files/unused?force=1"}
    assert all(set(files.files) <= {"used", "too", "open"} for files in cluster.files.values())
    status, answer = await _ask(http, "GET", "trash?scope=cluster")
    assert {uid: [row["filename"] for row in shown["data"]] for uid, shown in answer["data"].items()} == {
        uid: [f"unused-{uid[0]}"] for uid in UIDS
    }


async def test_a_head_that_does_not_do_it_is_named_and_the_others_do(
    http: aiohttp.ClientSession, cluster: Cluster
) -> None:
    cluster.say(B, State.DOWN)
    cluster.files[C].away = "the file store cannot be used"
    status, answer = await _ask(http, "DELETE", "unused?scope=cluster")
    assert (status, answer["success"], answer["meta"]["failed"]) == (200, True, [B, C])
    assert answer["data"][B] == {"reason": f"head {B} is down", "code": "down"}
    assert answer["data"][C]["code"] == "unavailable"
    assert answer["data"][C]["reason"] == "the file store cannot be used"
    assert B not in {asked.uid for asked in cluster.peers.asked}
    assert set(cluster.files[A].files) == {"used", "too"}


async def test_of_a_head_that_fails_only_what_it_did_is_data(http: aiohttp.ClientSession, cluster: Cluster) -> None:
    holder = {"holder": C, "work": "clean the database", "since": "2026-01-01T00:00:00.000Z"}
    cluster.peers.heads[B] = answers(holder, status=409, reason="head c has the lock", code="busy")
    removed = {"filename": "f", "kind": "other", "size": 1, "modified": holder["since"], "reason": "unreferenced"}
    cluster.peers.heads[C] = answers([removed], status=409, reason="it was lost", code="lock-lost", kept=[])
    _, answer = await _ask(http, "DELETE", "unused?scope=cluster")
    assert answer["data"][B] == {"reason": "head c has the lock", "code": "busy"}
    assert answer["data"][C] == {"data": [removed], "kept": [], "reason": "it was lost", "code": "lock-lost"}


async def test_a_head_that_cannot_be_reached_or_answers_oddly_is_named(
    http: aiohttp.ClientSession, cluster: Cluster
) -> None:
    cluster.peers.away[B] = "no route to host"
    cluster.peers.heads[C] = answers(status=502)
    _, answer = await _ask(http, "GET", "unused?scope=cluster")
    assert answer["meta"]["failed"] == [B, C]
    assert answer["data"][B]["code"] == "unreachable"
    assert answer["data"][C]["reason"] == "it answered 502"


async def test_where_this_head_cannot_do_it_no_other_is_asked(http: aiohttp.ClientSession, cluster: Cluster) -> None:
    cluster.rooms[A].references.names.clear()
    status, answer = await _ask(http, "DELETE", "unused?scope=cluster")
    assert (status, answer["code"], cluster.peers.asked) == (409, "suspicious", [])


@pytest.mark.parametrize("query", ["scope=world", "scope=", "scope=cluster&scope=head", "scop=cluster"])
async def test_another_scope_is_refused_and_nothing_is_removed(
    http: aiohttp.ClientSession, cluster: Cluster, query: str
) -> None:
    status, _ = await _ask(http, "DELETE", f"unused?{query}")
    assert (status, len(cluster.files[A].files)) == (422, 3)

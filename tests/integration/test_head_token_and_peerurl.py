"""POST /head/token and GET /head/peerurl over the real server, and tokens used over TLS."""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.errors import Unavailable
from tests.support.gate import Head, ask, running_head
from tests.support.logs import log_lines
from tests.support.people import CLUSTER, ME, head, members
from tests.support.ssh import pair


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Head]:
    """A head."""
    async with running_head(tmp_path) as running:
        yield running


async def make(here: Head, **body: Any) -> tuple[int, dict[str, Any]]:
    """POST /head/token over the socket."""
    client = await here.over_socket()
    async with client.post("/api/v1/head/token", json=body) as response:
        return response.status, await response.json()


async def test_a_token_from_the_socket_opens_token_routes_over_tls_until_the_heads_key_changes(here: Head) -> None:
    status, body = await make(
        here, lifespan="7d", permissions=["HeadsWrite", "HeadsRead", "HeadsRead"], subject="alice"
    )
    assert status == 201
    data = body["data"]
    assert (data["permissions"], data["subject"]) == (["HeadsRead", "HeadsWrite"], "alice")
    expires = datetime.fromisoformat(data["expires"])
    assert timedelta(days=7) - timedelta(minutes=1) < expires - datetime.now(UTC) <= timedelta(days=7)
    client = await here.over_tls()
    status, body = await ask(client, "/test/token", token=data["token"])
    assert (status, body["data"]["subject"]) == (200, "alice")
    here.roster.now = members(me=head(ssh_public=pair("ed25519", 1).public))
    assert (await ask(client, "/test/token", token=data["token"]))[0] == 401


async def test_the_answers_to_a_wrong_token(here: Head) -> None:
    client = await here.over_tls()
    _, body = await make(here, permissions=["ImagesRead"])
    good = body["data"]["token"]
    async with client.get("/test/token") as response:
        assert response.status == 401
        assert response.headers["WWW-Authenticate"].startswith("Bearer")
    status, body = await ask(client, "/test/token", token=good)
    assert (status, body["code"]) == (403, "permission")
    assert "HeadsRead" in body["reason"]
    assert (await ask(client, "/test/token", token=good[:-8]))[0] == 401
    assert (await ask(client, "/test/known-head", token=good))[0] == 403
    for route in ("/test/local", "/test/root"):
        assert (await ask(client, route, token=good))[1]["code"] == ("local-only")


async def test_a_huge_token_is_refused_and_the_server_lives(here: Head) -> None:
    client = await here.over_tls()
    assert (await ask(client, "/test/token", token="A" * 8150))[0] == 401
    assert (await ask(client, "/test/token", token="A" * 100_000))[0] == 400
    assert (await ask(client, "/test/public"))[0] == 200


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("permissions", {"permissions": []}),
        ("permissions", {}),
        ("permissions", {"permissions": "HeadsRead"}),
        ("permissions", {"permissions": ["Root"]}),
        ("permissions", {"permissions": [1]}),
        ("lifespan", {"permissions": ["HeadsRead"], "lifespan": "for ever"}),
        ("lifespan", {"permissions": ["HeadsRead"], "lifespan": "59s"}),
        ("lifespan", {"permissions": ["HeadsRead"], "lifespan": 59}),
        ("lifespan", {"permissions": ["HeadsRead"], "lifespan": -1}),
        ("lifespan", {"permissions": ["HeadsRead"], "lifespan": 1e300}),
        ("lifespan", {"permissions": ["HeadsRead"], "lifespan": 10**400}),
        ("lifespan", {"permissions": ["HeadsRead"], "lifespan": "367d"}),
        ("lifespan", {"permissions": ["HeadsRead"], "lifespan": None}),
        ("lifespan", {"permissions": ["HeadsRead"], "lifespan": True}),
        ("subject", {"permissions": ["HeadsRead"], "subject": ""}),
        ("subject", {"permissions": ["HeadsRead"], "subject": "a\nb"}),
        ("subject", {"permissions": ["HeadsRead"], "subject": "a\n"}),
        ("subject", {"permissions": ["HeadsRead"], "subject": "x" * 129}),
        ("iss", {"permissions": ["HeadsRead"], "iss": "x"}),
    ],
)
async def test_a_wrong_wish_makes_no_token_and_names_the_field(here: Head, field: str, body: dict[str, Any]) -> None:
    status, answer = await make(here, **body)
    assert status == 422
    assert field in answer["reason"]


@pytest.mark.parametrize("lifespan", [3600, "3600", 3600.0, "1h", "60min"])
async def test_a_lifespan_is_a_duration_or_seconds(here: Head, lifespan: object) -> None:
    status, body = await make(here, permissions=["HeadsRead"], lifespan=lifespan)
    assert status == 201
    left = datetime.fromisoformat(body["data"]["expires"]) - datetime.now(UTC)
    assert timedelta(minutes=59) < left <= timedelta(hours=1)


async def test_the_token_is_in_the_answer_and_not_in_the_log(here: Head) -> None:
    with log_lines() as lines:
        _, body = await make(here, permissions=["HeadsWrite"], subject="alice")
    audit = [line for line in lines if line["event"] == "Token issued"]
    assert [(line["subject"], line["permissions"], line["local_uid"]) for line in audit] == [
        ("alice", ["HeadsWrite"], 0)
    ]
    assert body["data"]["token"] not in str(lines)
    assert body["data"]["token"].rsplit(".", 1)[1] not in str(lines)


async def test_no_token_is_made_over_tls_without_the_database_or_without_a_key(here: Head) -> None:
    client = await here.over_tls()
    async with client.post("/head/token", json={"permissions": ["HeadsRead"]}) as response:
        assert response.status == 403
    (here.directory / "ssh_key").unlink()
    status, body = await make(here, permissions=["HeadsRead"])
    assert (status, body["code"]) == (503, "ssh-key")
    here.roster.now = Unavailable("the database is damaged")
    assert (await make(here, permissions=["HeadsRead"]))[0] == 503


async def test_the_kernel_says_who_is_behind_the_socket(here: Head) -> None:
    here.directory.chmod(0o711)
    here.socket.chmod(0o666)
    answers = {}
    for uid, route in ((65534, "root"), (65534, "local"), (0, "root")):
        command = ["curl", "-sS", "--unix-socket", here.socket.name, f"http://head/test/{route}"]
        process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, cwd=here.directory, user=uid)
        output, _ = await process.communicate()
        answers[uid, route] = json.loads(output)
    assert answers[65534, "root"]["code"] == "root-only"
    assert answers[65534, "local"]["data"]["uid"] == 65534
    assert answers[0, "root"]["data"]["uid"] == 0


async def test_peerurl_tells_a_joining_head_what_it_needs_and_nothing_secret(here: Head) -> None:
    client = await here.over_tls()
    status, body = await ask(client, "/api/v1/head/peerurl")
    assert status == 200
    data = body["data"]
    assert set(data) == {"peer_url", "uid", "cluster", "store", "version", "ca_pem"}
    assert (data["uid"], data["cluster"], data["store"]) == (ME, CLUSTER, "sqlite")
    assert data["ca_pem"] == here.identity.ca_pem
    assert "PRIVATE" not in str(body)
    assert data["peer_url"] == here.identity.url
    here.live.config = replace(here.live.config, peer_url="https://192.0.2.50:52380")
    assert (await ask(client, "/head/peerurl"))[1]["data"]["peer_url"] == "https://192.0.2.50:52380"

"""Secrets that are planted in every route, rightly and wrongly, are in no line of the log, at any level."""

from __future__ import annotations

import contextlib
import json
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import aiohttp
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from agent.api.call import Access, Route
from agent.api.routes import ROUTES
from tests.support.daemon import UID, Daemon, configure, started
from tests.support.ssh import pair

OTHER = "1other11111111111111111111111111"
SECRET_FIELDS = ("token", "ca", "ca_pem", "ssh_public", "password", "key_sha256")
"""Where people paste what they should not, too: a private key where the public one belongs."""
AT_LENGTH = ("/database/migrate", "/database/recover", "/heads/ca/rotate")
"""Without a body, and done at once over the socket: only asked of another head here."""
PASSWORD = f"hunter2-{secrets.token_hex(8)}"


def private_key() -> str:
    """A key of a CA, PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def marks(text: str) -> list[str]:
    """What would betray a secret, even a part of it that was cut off or written on one line."""
    lines = [line for line in text.splitlines() if line and not line.startswith("-----")]
    return [line[at : at + 12] for line in lines for at in range(0, max(1, len(line) - 11), 12)]


class Log:
    """All that a daemon has written, read as it comes, so that a full pipe does not stop it."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._text = ""
        self._thread = Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        assert self._daemon.process.stderr is not None
        self._text = self._daemon.process.stderr.read()

    def ended(self) -> str:
        """All of it, once the daemon was told to stop and has stopped."""
        with contextlib.suppress(ProcessLookupError):
            self._daemon.signal(signal.SIGTERM)
        self._thread.join(30.0)
        return self._text


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[tuple[Daemon, Log]]:
    """A daemon that logs everything, with a base.ini that holds passwords."""
    base = tmp_path / "base.ini"
    base.write_text(f"head.uid = {UID}\ndatabase.password = {PASSWORD}\n[etcd]\nroot_password = {PASSWORD}\n")
    config = configure(tmp_path, "[log]\nlevel = debug\n")
    config.write_text(config.read_text().replace("[head]\n", f"[head]\nbase_ini = {base}\n"))
    with started(config) as running:
        log = Log(running)
        try:
            running.heard()
            yield running, log
        finally:
            log.ended()


def over_socket(running: Daemon) -> aiohttp.ClientSession:
    """A client of the daemon's Unix socket that takes whatever it is answered."""
    return aiohttp.ClientSession("http://head", connector=aiohttp.UnixConnector(str(running.unix)))


def bodies(route: Route, secret: str) -> list[bytes]:
    """Bodies for a route with a secret where one may be: as they should be, with too much, and broken."""
    known = [field.encode_name for field in msgspec.structs.fields(route.body)] if route.body is not None else []
    right: dict[str, Any] = {name: secret if name in SECRET_FIELDS else "x" for name in known}
    more = right | dict.fromkeys(SECRET_FIELDS, secret)
    listed: dict[str, Any] = {name: [secret] if name in SECRET_FIELDS else 7 for name in known}
    texts = [json.dumps(body) for body in (right, more, listed, {"ca": {"key": secret}})]
    return [text.encode() for text in (*texts, texts[0][:-1], secret, f'"{secret}"')]


def ways(secret: str) -> list[dict[str, str]]:
    """Headers that carry a secret, rightly or not."""
    bare = "".join(secret.split())
    return [
        {"Authorization": f"Bearer {bare}"},
        {"Authorization": bare, "Cookie": f"token={bare}"},
        {"Authorization": f"Bearer {bare}", "X-Head": OTHER, "If-Match": bare, "X-Operator": f"{bare} <>"},
    ]


async def hammer(session: aiohttp.ClientSession, secret: str) -> int:
    """Every route with every body, with and without headers that hold the secret; how many were answered."""
    answered = 0
    bare = "".join(secret.split())
    for route in ROUTES:
        path = route.path.replace("{uid}", OTHER)
        if path.endswith(("/events", "/heartbeat")):
            continue  # they do not end
        at_length = route.path in AT_LENGTH
        for headers in ways(secret)[-1:] if at_length else ways(secret):
            for body in [b""] if route.method == "GET" or at_length else bodies(route, secret):
                async with session.request(route.method, path, data=body, headers=headers, ssl=False) as answer:
                    await answer.read()
                    answered += 1
        async with session.request(route.method, f"{path}?token={bare[:400]}", ssl=False) as answer:
            assert answer.status >= 400
    return answered


async def test_no_secret_that_is_sent_to_any_route_is_logged(daemon: tuple[Daemon, Log], tmp_path: Path) -> None:
    running, log = daemon
    url = next(line.split(" = ")[1] for line in running.config.read_text().splitlines() if line.startswith("listen"))
    ssh_key = pair("rsa2048").write(tmp_path / "planted").read_text()
    planted = [private_key(), ssh_key, f"token-{secrets.token_hex(24)}"]
    async with over_socket(running) as local, aiohttp.ClientSession(f"https://{url}") as network:
        for secret in planted[:2]:
            assert await hammer(local, secret) > 2 * len(ROUTES)
        assert await hammer(network, planted[2]) > 2 * len(ROUTES)
        await local.get("/shown-in-the-path")
    text = log.ended()

    assert text.count("Request refused") > len(ROUTES)
    assert "shown-in-the-path" in text
    own_key = (running.config.parent / "ssh_key").read_text()
    for secret in (*planted, own_key, PASSWORD):
        assert [mark for mark in marks(secret) if mark in text] == []


async def test_what_the_agent_hands_out_is_in_its_answer_and_in_no_line(daemon: tuple[Daemon, Log]) -> None:
    running, log = daemon
    async with over_socket(running) as local:

        async def asked(method: str, path: str, **body: Any) -> dict[str, Any]:
            async with local.request(method, path, data=json.dumps(body)) as answer:
                data: dict[str, Any] = await answer.json()
                assert data["success"], data
                return data

        token = (await asked("POST", "/head/token", permissions=["HeadsWrite"], subject="alice"))["data"]["token"]
        await asked("POST", "/heads", uid=OTHER, ssh_public=pair("ed25519").public, description="a head")
        await asked("PATCH", f"/head/{OTHER}", ssh_public=pair("ed25519", 2).public)
        await asked("DELETE", f"/head/{OTHER}")
    text = log.ended()

    for event in ("Token issued", "Head registered", "Head key changed", "Head removed"):
        assert event in text
    keys = [(running.config.parent / "state" / name).read_text() for name in ("ca.pem", "head.pem")]
    for secret in (token, *(key.partition("-----END")[0] for key in keys)):
        assert [mark for mark in marks(secret) if mark in text] == []


def test_a_base_ini_that_is_broken_is_told_of_without_its_lines(tmp_path: Path) -> None:
    base = tmp_path / "base.ini"
    base.write_text(f"[head\nhead.uid: not-one\n{PASSWORD}\n= {PASSWORD}\n")
    config = configure(tmp_path, "[log]\nlevel = debug\n")
    text = config.read_text().replace(f"uid = {UID}", f"base_ini = {base}")
    config.write_text(text)
    with started(config) as running:
        status, logged = running.ended()
    assert status == 78
    assert "base.ini" in logged
    assert PASSWORD not in logged


def test_the_routes_that_take_secrets_are_among_those_that_are_tried() -> None:
    taken = {field.encode_name for route in ROUTES if route.body for field in msgspec.structs.fields(route.body)}
    assert {"token", "ca", "ca_pem", "ssh_public"} <= taken
    assert {route.access for route in ROUTES} == set(Access)

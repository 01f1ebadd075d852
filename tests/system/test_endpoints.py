"""Every endpoint from another machine, with curl: who is let in, and that nothing answers 500."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import pki
from tests.support.heads import Head, Host
from tests.support.heads.head import wait_for
from tests.system.demo.images import OBJECTS, UNUSED, make

PEER = "p" * 32


@dataclass
class Caller:
    """Asks a head from another machine; `options` are curl's."""

    host: Host
    head: Head
    options: tuple[str, ...] = ()

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        argv = ["curl", "-sk", "--max-time", "20", "-X", method, "-w", "\n%{http_code}", *self.options]
        if method == "HEAD":
            argv[argv.index("-X") : argv.index("-X") + 2] = ["--head", "-o", "/dev/null"]
        if body is not None:
            argv += ["-d", body if isinstance(body, str) else json.dumps(body)]
        text = self.host.run(*argv, f"https://{self.head.address}:52390{path}").stdout
        answer, _, code = text.rpartition("\n")
        return int(code), json.loads(answer) if answer else None


@pytest.fixture
def stranger(elsewhere: Host, head: Head) -> Caller:
    return Caller(elsewhere, head)


@pytest.fixture
def bearer(elsewhere: Host, head: Head) -> Callable[[str], Caller]:
    def make_caller(permissions: str) -> Caller:
        token = head.run("cw-headctl", "token", "--lifespan", "1h", "--permissions", permissions).stdout.strip()
        return Caller(elsewhere, head, ("-H", f"Authorization: Bearer {token}"))

    return make_caller


@pytest.fixture
def peer(elsewhere: Host, head: Head, tmp_path: Path) -> Iterator[Caller]:
    """A registered head, with its certificate."""
    ca = pki.authority("the peer's CA")
    cert = pki.certificate(ca, PEER)
    ssh_public = head.path("/etc/ssh/ssh_host_ed25519_key.pub").read_text().strip()
    record = {"uid": PEER, "ssh_public": ssh_public, "ca_pem": ca.pem, "key_sha256": cert.key_sha256}
    created = head.api("POST", "/heads", record)
    assert created.status == 201, created.body
    yield Caller(elsewhere, head, ("--cert", str(cert.write(tmp_path / "peer.pem"))))
    head.api("DELETE", f"/head/{PEER}")


def test_the_public_routes_are_open_under_both_prefixes(stranger: Caller) -> None:
    for path in ("/head/peerurl", "/healthz", "/readyz", "/openapi.json"):
        assert stranger.ask("GET", path)[0] == stranger.ask("GET", f"/api/v1{path}")[0] == 200


def test_every_documented_operation_refuses_a_stranger_in_order(stranger: Caller) -> None:
    paths: dict[str, dict[str, Any]] = stranger.ask("GET", "/openapi.json")[1]["paths"]
    for path, operations in paths.items():
        for method in operations.keys() & {"get", "post", "put", "patch", "delete"}:
            code, body = stranger.ask(method.upper(), path.replace("{uid}", PEER), "{}" if method != "get" else None)
            assert code in (200, 401, 403), (method, path, body)
            if code != 200:
                assert body["success"] is False
                assert body["reason"]


def test_a_token_opens_what_it_names(bearer: Callable[[str], Caller]) -> None:
    reader = bearer("HeadsRead")

    code, body = reader.ask("GET", "/api/v1/heads")
    assert code == 200
    assert body["data"][reader.head.uid]["state"] == "up"
    assert reader.ask("GET", "/head/self")[0] == 200
    assert reader.ask("GET", "/heads/down")[1]["data"] == []
    assert reader.ask("GET", "/database/clean")[0] == 200
    assert reader.ask("POST", "/database/clean")[0] == 403
    assert reader.ask("GET", "/images")[0] == 403
    assert reader.ask("GET", "/head/services")[0] == 403


def test_the_databases_clean_is_done_as_planned(bearer: Callable[[str], Caller]) -> None:
    writer = bearer("HeadsRead,HeadsWrite")
    plan = writer.ask("GET", "/database/clean")[1]["data"]["plan"]

    assert writer.ask("POST", "/database/clean", {"plan": "0" * len(plan)})[0] == 409
    assert writer.ask("POST", "/database/clean")[0] == 200


def test_a_head_alone_cannot_leave(peer: Caller, head: Head) -> None:
    assert peer.ask("POST", "/database/leave")[0] in (200, 409)
    assert head.api("GET", "/healthz").status == 200


def test_a_known_head_is_let_in_and_its_removal_shuts_it_out(peer: Caller, stranger: Caller, head: Head) -> None:
    assert stranger.ask("GET", "/head/services")[0] == 403
    assert peer.ask("GET", "/head/services")[0] == 200
    assert peer.ask("GET", "/heads")[0] in (401, 403)

    assert head.api("DELETE", f"/head/{PEER}").status == 200

    code, body = peer.ask("GET", "/head/services")
    assert (code, body["code"]) == (403, "removed")


def test_a_known_head_acts_on_services(peer: Caller, head: Head) -> None:
    code, body = peer.ask("POST", "/head/services", {"status": "restart", "services": ["clusterware-dns"]})

    assert (code, body["data"][0]["actions"][0]["result"]) == (200, "done")
    assert head.systemctl("is-active", "clusterware-dns") == "active"


def test_a_head_registered_by_address_is_let_in(stranger: Caller, head: Head) -> None:
    ssh_public = head.path("/etc/ssh/ssh_host_ed25519_key.pub").read_text().strip()
    uid = "a" * 32
    record = {"uid": uid, "ssh_public": ssh_public, "addresses": [stranger.host.address]}
    assert head.api("POST", "/heads", record).status == 201
    try:
        assert stranger.ask("GET", "/head/services")[0] == 200
    finally:
        head.api("DELETE", f"/head/{uid}")
    assert stranger.ask("GET", "/head/services")[0] == 403


@pytest.mark.parametrize(
    ("body", "code"),
    [("", 400), ("not json", 400), ("[]", 400), ('{"status": 1}', 422), ('{"x": 1}', 422), ("{}", 422)],
)
def test_bad_bodies_are_told_what_is_wrong(peer: Caller, body: str, code: int) -> None:
    answered, told = peer.ask("POST", "/head/services", body)

    assert answered == code
    assert told["success"] is False


def test_head_and_options_and_wrong_methods(stranger: Caller) -> None:
    assert stranger.ask("HEAD", "/head/peerurl")[0] == 200
    assert stranger.ask("OPTIONS", "/head/services")[0] in (200, 204)
    assert stranger.ask("DELETE", "/head/peerurl")[0] == 405
    assert stranger.ask("GET", "/nonsense")[0] == 404


def test_files_live_while_they_are_referred_to(fresh: Callable[[], Head]) -> None:
    one = fresh()
    one.start_agent()
    make(one.path(one.store))
    for path, body in OBJECTS:
        answer = one.api("POST", path, body)
        assert answer.status == 201, answer.body

    def unused() -> list[str]:
        answer = one.api("GET", "/head/files/unused")
        assert answer.status == 200, answer.body
        return [f["filename"] for f in answer.data]

    wait_for(lambda: sorted(unused()) == sorted(UNUSED), "the files to be old enough")

    removed = one.api("DELETE", "/head/files/unused").data
    assert sorted(f["filename"] for f in removed) == sorted(UNUSED)
    left = {p.name for p in one.path(one.store).iterdir() if not p.name.startswith(".")}
    assert left == {"compute.squashfs", "vmlinuz-compute", "initramfs-compute.cpio.zst", "install.iso"}

    one.run("cw-headctl", "files", "restore", UNUSED[0])
    assert one.path(f"{one.store}/{UNUSED[0]}").exists()
    assert UNUSED[1] in one.run("cw-headctl", "files", "trash").stdout

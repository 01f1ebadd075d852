"""What the reference promises, tried from another machine over TLS: by certificate, by address, by token, by nobody."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support import pki, ssh
from tests.support.heads import Head, Heads, Host
from tests.support.heads.head import UNIT, wait_for
from tests.support.talk import Talk

PEER = "c" * 32
TIMES = {"since", "last_seen", "joined", "modified", "removed", "made", "down_since", "expires"}
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


class Network:
    """Machines that talk to the shared head."""

    def __init__(self, head: Head, near: Host, far: Host) -> None:
        self.head, self.near, self.far = head, near, far
        self._talks: list[Talk] = []

    def talk(self, certificate: Path | None = None, *, host: Host | None = None, token: str = "") -> Talk:
        self._talks.append(Talk(host or self.near, self.head, certificate, token))
        return self._talks[-1]

    def with_token(self, permissions: str) -> Talk:
        words = ("--lifespan", "1h", "--subject", "alice", "--permissions", permissions)
        return self.talk(token=self.head.run("cw-headctl", "token", *words).stdout.strip())

    def register(self, **fields: Any) -> Any:
        answer = self.head.api("POST", "/heads", {"uid": PEER, "ssh_public": ssh.pair("ed25519").public, **fields})
        assert answer.status == 201, answer.body
        return answer.body

    def change(self, **fields: Any) -> None:
        assert self.head.api("PATCH", f"/head/{PEER}", fields).status == 200

    def forget(self) -> None:
        assert self.head.api("DELETE", f"/head/{PEER}").status == 200

    def curl(self, *options: str) -> str:
        """What curl prints when it fails."""
        url = f"https://{self.head.address}:52390/head/services"
        return self.near.run("curl", "-skS", "--max-time", "20", *options, url, check=False).stderr

    def close(self) -> None:
        for talk in self._talks:
            talk.close()


@pytest.fixture
def network(heads: Heads, head: Head) -> Iterator[Network]:
    network = Network(head, heads.host("near"), heads.host("far"))
    yield network
    network.close()
    head.api("DELETE", f"/head/{PEER}")


@pytest.fixture
def ca() -> pki.Holder:
    return pki.authority("the peer's CA")


def operations(head: Head) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in head.api("GET", "/openapi.json").body["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path.replace("{uid}", PEER), operation


# --- Heads that are known by their certificate ---


def test_a_certificate_counts_from_the_registration_on_until_the_removal(
    network: Network, ca: pki.Holder, tmp_path: Path
) -> None:
    file = pki.certificate(ca, PEER).write(tmp_path / "peer.pem")
    assert "alert unknown ca" in network.curl("--cert", str(file))

    network.register(ca_pem=ca.pem)
    peer = network.talk(file)
    assert peer.ask("GET", "/head/services").status == 200

    network.forget()
    assert peer.ask("GET", "/head/services").refusal == (403, "removed")
    assert network.talk(file).ask("POST", "/database/leave").refusal == (403, "removed")

    network.register(ca_pem=ca.pem)
    assert peer.ask("GET", "/head/services").status == 200
    assert network.head.api("GET", f"/head/{PEER}").data[PEER]["generation"] > 1


def test_a_record_that_changes_counts_on_open_connections(network: Network, ca: pki.Holder, tmp_path: Path) -> None:
    mine = pki.certificate(ca, PEER)
    network.register(ca_pem=ca.pem, addresses=[network.far.address])
    peer = network.talk(mine.write(tmp_path / "peer.pem"))

    for fields, status in (
        ({"key_sha256": "0" * 64}, 403),
        ({"key_sha256": mine.key_sha256}, 200),
        ({"ca_pem": pki.authority("the peer's CA").pem}, 403),
        ({"ca_pem": None}, 403),
        ({"addresses": [network.near.address]}, 200),
        ({"addresses": []}, 403),
        ({"ca_pem": ca.pem}, 200),
    ):
        network.change(**fields)
        answer = peer.ask("GET", "/head/services")
        assert answer.status == status, (fields, answer.body)
        assert status == 200 or {"certificate: ", "address: "} <= set(re.findall(r"\w+: ", answer.body["reason"]))


@pytest.mark.parametrize(
    ("uids", "valid", "why"),
    [
        (["d" * 32], None, "which has no record here"),
        ([], None, "names none"),
        ([PEER, "d" * 32], None, "names 2"),
        ([PEER], pki.around_now(timedelta(days=-9), timedelta(days=-8)), "has expired or is not valid yet"),
        ([PEER], pki.around_now(timedelta(days=8), timedelta(days=9)), "has expired or is not valid yet"),
    ],
)
def test_a_certificate_that_proves_nothing_is_refused_with_the_reason(
    network: Network, tmp_path: Path, uids: list[str], valid: pki.Span | None, why: str
) -> None:
    ca = pki.authority(valid=pki.around_now(timedelta(days=-30), timedelta(days=30)))
    network.register(ca_pem=ca.pem)
    answer = network.talk(pki.certificate(ca, *uids, valid=valid).write(tmp_path / "x.pem")).ask(
        "GET", "/head/services"
    )

    assert answer.refusal == (403, "not-a-known-head")
    assert why in answer.body["reason"]


# --- Heads that are known by their address ---


def test_an_address_counts_for_a_record_without_a_ca_and_for_no_other(network: Network, ca: pki.Holder) -> None:
    told = network.register(addresses=[network.near.address])
    assert "address alone" in told["meta"]["warnings"][0]
    near, far = network.talk(), network.talk(host=network.far)
    assert near.ask("GET", "/head/services").status == 200
    forged = far.ask("GET", "/head/services", X_Forwarded_For=network.near.address, X_Head=PEER)
    assert forged.refusal == (403, "not-a-known-head")

    network.change(ca_pem=ca.pem)
    assert near.ask("GET", "/head/services").refusal == (403, "not-a-known-head")
    network.change(ca_pem=None)
    assert near.ask("GET", "/head/files/unused").status == 200

    network.forget()
    assert near.ask("DELETE", "/head/files/unused").refusal == (403, "removed")
    assert far.ask("DELETE", "/head/files/unused").refusal == (403, "not-a-known-head")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "0.0.0.0", "::", "224.0.0.1", "head2", "10.0.0.0/8", ""])
def test_an_address_that_no_head_calls_from_is_refused(network: Network, address: str) -> None:
    body = {"uid": PEER, "ssh_public": ssh.pair("ed25519").public, "addresses": [address]}
    answer = network.head.api("POST", "/heads", body)
    assert answer.status == 422
    assert answer.body["errors"][0]["field"] == "addresses"


def test_a_known_head_opens_no_route_for_tokens_or_the_socket(network: Network) -> None:
    network.register(addresses=[network.near.address])
    peer = network.talk()
    for method, path, operation in operations(network.head):
        answer = {"token": 401, "local": 403, "root": 403}.get(operation["x-access"])
        if answer:
            assert peer.ask(method, path, "{}").status == answer, (method, path)


# --- Tokens ---


def test_each_operation_takes_the_permission_that_it_names_and_no_other(network: Network) -> None:
    permissions = {op["x-permission"] for _, _, op in operations(network.head) if "x-permission" in op}
    permissions.remove("HeadsJoin")  # good for one use, with tests of its own
    assert len(permissions) == 8
    every = network.with_token(",".join(sorted(permissions)))
    for permission in permissions:
        others = network.with_token(",".join(sorted(permissions - {permission})))
        for method, path, operation in operations(network.head):
            if operation["x-access"] == "token" and operation["x-permission"] == permission:
                assert others.ask(method, path, "[]").refusal == (403, "permission"), (method, path)
                assert every.ask(method, path, "[]").status in (200, 400, 404), (method, path)
            elif operation["x-access"] != "public" and operation["x-access"] != "token":
                assert every.ask(method, path, "[]").status == 403, (method, path)


def test_a_token_ends_with_the_key_that_made_it(network: Network) -> None:
    reader = network.with_token("HeadsRead")
    key = network.head.api("GET", "/head/self").data[network.head.uid]["ssh_public"]
    assert reader.ask("GET", "/heads").status == 200
    try:
        network.head.api("PATCH", "/head/self", {"ssh_public": ssh.pair("ed25519", 2).public})
        answer = reader.ask("GET", "/heads")
        assert answer.refusal == (401, "unauthenticated")
        assert answer.headers["www-authenticate"].startswith("Bearer")
    finally:
        network.head.api("PATCH", "/head/self", {"ssh_public": key})
    assert reader.ask("GET", "/heads").status == 200


# --- Answers ---


def test_times_are_rfc_3339_and_totals_are_numbers(network: Network) -> None:
    def walk(value: Any) -> Iterator[tuple[str, Any]]:
        for name, inner in value.items() if isinstance(value, dict) else ():
            yield name, inner
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from walk(inner)

    network.register(addresses=[network.near.address])
    for method, path, operation in operations(network.head):
        media = operation["responses"].get("200", {}).get("content", {})
        if method == "GET" and "application/json" in media and not path.endswith(("/meta", "/openapi.json")):
            for name, value in walk(network.head.api("GET", path).body):
                assert name not in TIMES or value is None or RFC3339.fullmatch(value), (path, name, value)
                assert name not in ("size", "bytes") or value is None or type(value) is int, (path, name, value)


def test_head_and_options_follow_the_table(network: Network) -> None:
    stranger = network.talk()
    allowed: dict[str, set[str]] = {}
    for method, path, _ in operations(network.head):
        allowed.setdefault(path, {"OPTIONS"}).update({method, "HEAD"} if method == "GET" else {method})
    for path, methods in allowed.items():
        options = stranger.ask("OPTIONS", f"/api/v1{path}")
        assert (options.status, set(options.headers["allow"].split(", "))) == (200, methods)
        for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} - methods:
            answer = stranger.ask(method, path)
            assert (answer.status, set(answer.headers["allow"].split(", "))) == (405, methods), (method, path)
    get, head = stranger.ask("GET", "/head/peerurl"), stranger.ask("HEAD", "/head/peerurl")
    assert (head.text, head.headers["content-length"]) == ("", get.headers["content-length"])


def test_every_answer_has_a_request_id_and_broken_http_is_no_exception(network: Network) -> None:
    head = network.head
    send = ("openssl", "s_client", "-quiet", "-connect", f"{head.address}:52390")
    for broken in (
        "nonsense\r\n\r\n",
        "GET /heads HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /heads HTTP/1.1\r\nHost: a\r\nX: " + "x" * 9000 + "\r\n\r\n",
        "BREW /heads HTTP/1.1\r\nHost: a\r\n\r\n",
    ):
        answer, _, body = network.near.run(*send, stdin=broken, check=False).stdout.partition("\n\n")
        assert answer.split()[1] == "400"
        assert re.search(r"^X-Request-Id: \S+", answer, re.MULTILINE), answer
        assert json.loads(body)["code"] == "bad-http"
    stranger = network.talk()
    assert stranger.ask("GET", "/nope", X_Request_Id="mine-1").headers["x-request-id"] == "mine-1"
    assert stranger.ask("GET", "/nope", X_Request_Id="n@t sane").headers["x-request-id"] not in ("", "n@t sane")


def test_an_etag_keeps_two_writers_apart(network: Network) -> None:
    writer = network.with_token("HeadsRead,HeadsWrite")
    network.register()
    before = writer.ask("GET", f"/head/{PEER}").headers["etag"]
    assert writer.ask("PATCH", f"/head/{PEER}", {"description": "one"}, If_Match=before).status == 200
    assert writer.ask("PATCH", f"/head/{PEER}", {"description": "two"}, If_Match=before).refusal == (412, "stale")
    assert writer.ask("DELETE", f"/head/{PEER}", If_Match=before).refusal == (412, "stale")
    assert writer.ask("GET", f"/head/{PEER}").body["data"][PEER]["description"] == "one"


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ('{"name":"x","description":"\\ud800"}', 400, None),
        ('{"name":"x","content":{"filename":"a","size":1e400}}', 400, None),
        ('{"name":"x","content":{"filename":"../../etc/passwd"}}', 422, "content"),
        ('{"name":"x","content":{"filename":"a\\u0000b"}}', 422, "content"),
        ('{"name":"x","content":{"filename":"%s"}}' % ("a/" * 2048 + "a"), 422, "content"),
        ('{"name":"x","content":{"filename":"a","where":"b"}}', 422, "content"),
        ('{"name":"..","uid":"self"}', 422, "uid"),
        ('{"name":"x","filename":"a"}', 422, "filename"),
    ],
)
def test_a_bad_object_is_refused_by_field_and_leaves_nothing(
    network: Network, body: str, status: int, field: str | None
) -> None:
    writer = network.with_token("ImagesRead,ImagesWrite")
    before = writer.ask("GET", "/images").text
    answer = writer.ask("POST", "/images", body)
    assert answer.status == status
    assert [fault["field"] for fault in answer.body.get("errors", [])][:1] == ([field] if field else [])
    assert writer.ask("GET", "/images").text == before


# --- The journal ---


def lines(head: Head, request_id: str, last: str) -> list[dict[str, str]]:
    """The lines of a request, once the one that begins so is there: a thread of the agent's writes them in order."""

    def found() -> list[dict[str, str]]:
        told = head.run("journalctl", "-q", "-o", "json", "-u", UNIT, f"REQUEST_ID={request_id}").stdout
        read = [json.loads(line) for line in told.splitlines()]
        return read if any(line["MESSAGE"].startswith(last) for line in read) else []

    told: list[dict[str, str]] = wait_for(found, f"the line {last}")
    return told


def test_a_change_of_keys_is_audited_apart_with_who_and_from_where(network: Network) -> None:
    network.register()
    writer = network.with_token("HeadsWrite")
    changed = "Request changed something"
    writer.ask("PATCH", f"/head/{PEER}", {"ssh_public": ssh.pair("ed25519", 3).public}, X_Request_Id="audit-1")

    audit = {line["MESSAGE"].partition(" head_uid=")[0]: line for line in lines(network.head, "audit-1", changed)}
    assert audit["Head key changed"]["NEW_SSH_KEY"] != audit["Head key changed"]["OLD_SSH_KEY"]
    (change,) = [line for message, line in audit.items() if message.startswith(changed)]
    assert (change["SUBJECT"], change["PEER"], change["STATUS"]) == ("alice", network.near.address, "200")
    made = network.head.run("journalctl", "-q", "-o", "cat", "-u", UNIT, f"TOKEN_ID={change['TOKEN_ID']}").stdout
    assert made.startswith("Token issued")


def test_what_a_stranger_sends_stays_on_one_readable_line(network: Network) -> None:
    network.head.systemctl("restart", UNIT)  # after many refusals within a minute, lines are held back
    stranger = network.talk()
    stranger.ask("DELETE", "/head/%1b%5b2J%0aAgent%20started%E2%80%AE", X_Request_Id="audit-2")
    (line,) = lines(network.head, "audit-2", "Request refused")
    assert isinstance(line["MESSAGE"], str)
    assert line["MESSAGE"].isprintable()


# --- Crowds ---


def test_one_head_registered_and_removed_by_many_at_once_stays_whole(network: Network) -> None:
    ended: Counter[tuple[str, int]] = Counter()
    body = {"uid": PEER, "ssh_public": ssh.pair("ed25519").public}

    def go(writer: Talk, method: str) -> None:
        for _ in range(15):
            path, sent = ("/heads", body) if method == "POST" else (f"/head/{PEER}", None)
            ended[method, writer.ask(method, path, sent).status] += 1

    run_all([lambda m=m: go(network.with_token("HeadsWrite"), m) for m in ("POST", "DELETE") * 3])  # type: ignore[misc]

    assert set(ended) <= {("POST", 201), ("POST", 409), ("DELETE", 200), ("DELETE", 404)}
    left = network.head.api("GET", f"/head/{PEER}").status == 200
    assert ended["POST", 201] - ended["DELETE", 200] == left


def test_a_crowd_of_idle_connections_keeps_nobody_out(network: Network) -> None:
    address = (network.head.address, 52390)
    crowd = (
        f"import socket, sys; crowd = [socket.create_connection({address!r}) for _ in range(500)];"
        "print('there', flush=True); sys.stdin.read()"
    )
    argv = network.far.argv(sys.executable, "-c", crowd)
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "there\n"
        assert network.talk().ask("GET", "/head/peerurl").status == 200
        assert network.head.api("GET", "/head/services").status == 200
        program.communicate()


def test_a_service_is_restarted_as_often_as_it_is_asked_for(network: Network) -> None:
    network.register(addresses=[network.near.address])
    peer = network.talk()
    for _ in range(8):  # systemd by itself allows five starts in ten seconds
        answer = peer.ask("POST", "/head/services", {"status": "stop,start", "services": ["clusterware-dns"]})
        assert answer.status == 200, answer.body


def run_all(works: list[Callable[[], None]]) -> None:
    """Do all at the same time."""
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

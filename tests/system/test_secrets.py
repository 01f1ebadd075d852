"""Secrets are planted, everything is done with them, failures included; then they are looked for everywhere."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.heads import Head, Heads
from tests.support.heads.cluster import ca_sha256
from tests.support.heads.head import UNIT

STATE = "/var/lib/clusterware-head-agent"
PASSWORD = "marked-password-4711"


@dataclass
class Seen:
    """What the processes of a head have shown of themselves."""

    texts: set[bytes] = field(default_factory=set)
    _ended: threading.Event = field(default_factory=threading.Event)

    def look(self, head: Head) -> None:
        """Read every process' arguments and environment again and again."""
        while not self._ended.wait(0.01):
            for name in ("cmdline", "environ"):
                for path in head.path("/proc").glob(f"[0-9]*/{name}"):
                    try:
                        self.texts.add(path.read_bytes())
                    except OSError:
                        continue

    def end(self) -> None:
        """Look no more."""
        self._ended.set()


@contextmanager
def watched(head: Head) -> Iterator[Seen]:
    """Watch the processes of a head meanwhile."""
    seen = Seen()
    thread = threading.Thread(target=seen.look, args=(head,))
    thread.start()
    try:
        yield seen
    finally:
        seen.end()
        thread.join()


@dataclass
class Planted:
    """A head on which everything was done, and the secrets of it by name."""

    head: Head
    secrets: dict[str, bytes]
    seen: Seen


def _key_line(path: Path) -> bytes:
    """A line of a private key in PEM that no other has."""
    found = re.search(rb"BEGIN [A-Z ]*PRIVATE KEY-----\n.*\n(.*)\n", path.read_bytes())
    assert found is not None
    return found[1]


def _content(path: Path) -> bytes:
    """What is in a file; of one that has gone, nothing."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


@pytest.fixture(scope="module")
def planted(heads: Heads) -> Iterator[Planted]:
    """Two heads join, with tokens made, used and misused; backups, reloads, crashes; logs at their fullest."""
    one, two = heads.boot_all("secret1", "secret2", state_size="128M")
    one.start_agent("[log]\nlevel = debug\n")
    two.start_agent("[log]\nlevel = debug\n")
    two.write("/run/begun", "")
    base = "/opt/scyld/clusterware/conf/base.ini"
    for head in (one, two):
        head.write(base, f"head.uid = {head.uid}\ndatabase.password = {PASSWORD}\n", 0o600)
        head.systemctl("restart", UNIT)
    with watched(two) as seen:
        token = one.run("cw-headctl", "token", "--join").stdout.split()[1]
        wide = one.run("cw-headctl", "token", "--lifespan", "1h", "--permissions", "HeadsWrite").stdout.strip()
        join = ["cw-headctl", "join", f"https://{one.name}:52390", "--token-file", "-", "--ca-sha256"]
        assert two.run(*join, "0" * 64, stdin=token, check=False).returncode != 0
        assert two.run(*join, ca_sha256(one), stdin=f"{token}x", check=False).returncode != 0
        two.run(*join, ca_sha256(one), stdin=token)
        for path, method in (("/heads", "GET"), ("/heads/join", "POST"), ("/head/token", "POST"), (f"/{wide}", "GET")):
            asked = f'header = "Authorization: Bearer {wide}"\nurl = "https://{one.name}:52390{path}?token={wide}"\n'
            two.run("curl", "-sk", "-X", method, "--config", "-", stdin=asked)
        for head in (one, two):
            head.api("POST", "/head/token", {"permissions": ["Nonsense"], "token": token})
            head.api("POST", "/head/join", {"url": "https://127.0.0.1:1", "token": wide, "ca_sha256": "1" * 64})
            head.api("GET", "/database/clean")
            head.run("cw-headctl", "database", "clean", "--yes", check=False)
            head.systemctl("reload", UNIT)
            head.systemctl("kill", "--signal=ABRT", UNIT)
            head.api("GET", "/readyz")
    secrets = {
        "the token for joining": token.encode(),
        "the signature of it": token.rpartition(".")[2].encode(),
        "the administrator's token": wide.rpartition(".")[2].encode(),
        "the SSH key": _key_line(one.path("/etc/ssh/ssh_host_ed25519_key")),
        "the CA's key": _key_line(one.path(f"{STATE}/ca.pem")),
        "the head's key": _key_line(one.path(f"{STATE}/head.pem")),
        "the other head's key": _key_line(two.path(f"{STATE}/head.pem")),
        "the password in base.ini": PASSWORD.encode(),
    }
    yield Planted(two, secrets, seen)
    heads.shut_down_all([one, two])


def test_no_secret_is_in_the_journal(planted: Planted) -> None:
    planted.head.run("journalctl", "--sync")
    everything = planted.head.run("journalctl", "--quiet", "--no-pager", "--all", "--output=export").stdout.encode()
    assert b"Joined a cluster" in everything
    assert [name for name, secret in planted.secrets.items() if secret in everything] == []


def test_no_secret_was_in_arguments_or_the_environment(planted: Planted) -> None:
    shown = b"\n".join(planted.seen.texts)
    assert b"cw-headctl" in shown
    assert [name for name, secret in planted.secrets.items() if secret in shown] == []


def test_secrets_are_in_no_files_but_their_own(planted: Planted) -> None:
    head = planted.head
    own = {
        "the CA's key": {f"{STATE}/ca.pem"},
        "the other head's key": {f"{STATE}/head.pem"},
        "the password in base.ini": {"/opt/scyld/clusterware/conf/base.ini"},
    }
    places = ("/etc", "/run", "/var", "/tmp", "/opt", "/root", "/home", "/srv")
    written = head.run("find", *places, "-type", "f", "-newer", "/run/begun", check=False).stdout.split("\n")
    assert f"{STATE}/ca.pem" in written
    for name, secret in planted.secrets.items():
        found = {path for path in written if path and secret in _content(head.path(path))}
        elsewhere = {path for path in found if not path.startswith("/run/credentials/")}
        assert elsewhere == own.get(name, set()), name


def test_what_the_agent_keeps_is_open_to_nobody_else(planted: Planted) -> None:
    head = planted.head
    for place in (STATE, "/run/clusterware-head-agent", "/srv/store/.trash"):
        loose = head.run("find", place, "-perm", "/007", "!", "-type", "l").stdout
        assert loose == "", place
    kept = head.run("find", STATE, "-perm", "/077", "!", "-type", "l").stdout
    assert kept == ""


def test_no_memory_was_dumped(planted: Planted) -> None:
    head = planted.head
    assert "status=6/ABRT" in head.journal()
    places = [place for place in ("/", "/tmp", "/var/lib/systemd/coredump", STATE) if head.path(place).is_dir()]
    assert head.run("find", *places, "-maxdepth", "1", "-type", "f", "-name", "core*").stdout == ""

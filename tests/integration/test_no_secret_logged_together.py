"""What heads give each other and keep on disk is in no line of either's log, at any level, also when it fails."""

from __future__ import annotations

import contextlib
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.support.company import HeadDaemon, head
from tests.support.daemon import started

PASSWORD = "hush-0f3a9c"
"""Of the platform's database, in its base.ini; of a URL."""
_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----\n(.*?)-----END", re.DOTALL)


class Watched:
    """A head and all that it has logged."""

    def __init__(self, directory: Path, number: int) -> None:
        base = directory / f"base{number}.ini"
        base.write_text(f"head.uid = {number:032d}\ndatabase.password = {PASSWORD}\nsecret={PASSWORD}\n{PASSWORD}")
        self.head = head(directory, number, "[log]\nlevel = debug\n")
        config = self.head.config
        config.write_text(config.read_text().replace("[head]\n", f"[head]\nbase_ini = {base}\n"))
        self.logged: list[str] = []

    @contextlib.contextmanager
    def runs(self) -> Iterator[HeadDaemon]:
        """The daemon, ready; stopped in order at the end."""
        with started(self.head.config) as daemon:
            self.head.daemon = daemon
            assert daemon.process.stderr is not None
            reading = threading.Thread(target=self.logged.extend, args=(daemon.process.stderr,))  # no pipe fills up
            reading.start()
            try:
                assert daemon.heard() == {"READY": "1"}
                yield self.head
            finally:
                daemon.signal(signal.SIGTERM)
                daemon.process.wait(30)
                reading.join()

    def keys(self) -> set[str]:
        """The lines of the private keys that it has at this moment, its SSH key's too: each alone is too much."""
        files = [*(self.head.directory / "state").glob("*.pem*"), self.head.directory / "ssh_key"]
        found = (key for file in files for key in _KEY.findall(file.read_text()))
        return {line for key in found for line in key.split() if len(line) > 16}


async def test_keys_and_tokens_that_go_from_head_to_head_are_in_no_line(tmp_path: Path) -> None:
    first, second = Watched(tmp_path, 1), Watched(tmp_path, 2)
    with first.runs() as one, second.runs() as two:
        secrets = {PASSWORD} | first.keys() | second.keys()
        invitation = await one.invitation()
        token = await one.token(permissions=["HeadsJoin"], lifespan="10min")
        nowhere = f"https://admin:{PASSWORD}@127.0.0.1:1"
        for wrong in (
            {"ca_sha256": "0" * 64},
            {"url": "https://127.0.0.1:1"},
            {"url": nowhere},
            {"token": f"{token}x"},
        ):
            assert (await two.ask("POST", "/head/join", {**invitation, **wrong}))[0] >= 400
        assert (await two.ask("POST", "/head/join", {**invitation, "token": token}))[0] == 200
        secrets |= first.keys() | second.keys()
        await one.data("POST", "/heads/ca/rotate")
        secrets |= first.keys() | second.keys()
        await two.data("POST", "/database/leave")
        secrets |= first.keys() | second.keys()

    logged = "".join([*first.logged, *second.logged])
    for event in ("Token issued", "CA key handed out", "Joined a cluster", "Cluster's CA exchanged", "Request refused"):
        assert event in logged
    secrets |= {part for made in (token, invitation["token"]) for part in (made, made.rpartition(".")[2])}
    assert len(secrets) > 20
    assert [secret for secret in secrets if secret in logged] == []


async def test_a_key_that_cannot_be_read_is_told_of_and_not_shown(tmp_path: Path) -> None:
    one = Watched(tmp_path, 1)
    with one.runs():
        secrets = one.keys()
    for names in (("state/ca.pem", "ssh_key"), ("state/head.pem",)):
        files = {one.head.directory / name: (one.head.directory / name).read_text() for name in names}
        for file, whole in files.items():
            file.write_text(whole.replace("-----END", "x", 1))  # its key is there, and no parser takes it
        one.logged.clear()
        with one.runs() as running:
            assert (await running.ask("POST", "/head/token", {"permissions": ["HeadsRead"]}))[0] < 600
        for file, whole in files.items():
            file.write_text(whole)
        logged = "".join(one.logged)
        assert all(file.name in logged for file in files)
        assert "cannot be used" in logged
        assert [secret for secret in secrets if secret in logged] == []

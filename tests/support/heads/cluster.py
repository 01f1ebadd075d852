"""Several heads made one cluster, with the commands that an operator uses."""

from __future__ import annotations

import hashlib
import http.client
import json
import signal
import ssl
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from tests.support.heads.head import UNIT, Done, Head, wait_for
from tests.support.heads.run import Heads

PORT, ETCD_PORT = 52390, 52391
ETCD = "clusterware-head-agent-etcd.service"
PERMISSIONS = "HeadsRead,HeadsWrite"


@dataclass(slots=True)
class Cluster:
    """Heads that have joined; the first founded it."""

    run: Heads
    engine: str
    heads: list[Head] = field(default_factory=list)
    config: str = ""
    """What stands in the configuration of each head, besides what `Head.configure` gives it."""

    def start(self, heads: Sequence[Head]) -> None:
        """Start the agents of heads that were just booted: the first founds the cluster, the others join it in turn."""
        founder, *others = heads
        founder.start_agent(f"[database]\nengine = {self.engine}\n{self.config}")
        self.heads.append(founder)
        wait_for(lambda: founder.api("GET", "/head/peerurl").data["store"] == self.engine, "the engine")
        self.add(others)

    def add(self, heads: Sequence[Head]) -> None:
        """Start the agents of more heads that were just booted, and have them join in turn."""
        if heads:
            with ThreadPoolExecutor(min(4, len(heads))) as pool:
                list(pool.map(lambda head: head.start_agent(self.config), heads))
        for head in heads:
            self.join(head)

    def join(self, head: Head, through: Head | None = None) -> None:
        """Have a head with a running agent join, through the first head or another."""
        through = through or self.heads[0]
        head.run("cw-headctl", "join", *self.invitation(through))
        self.heads.append(head)

    def invitation(self, head: Head, permissions: str = PERMISSIONS) -> list[str]:
        """What `cw-headctl join` takes to join through that head."""
        return [f"https://{head.name}:{PORT}", "--token", self.token(head, permissions), "--ca-sha256", ca_sha256(head)]

    def token(self, head: Head, permissions: str = PERMISSIONS) -> str:
        """A token that this head signed."""
        return head.run("cw-headctl", "token", "--lifespan", "1h", "--permissions", permissions).stdout.strip()

    def settled(self, heads: Iterable[Head] | None = None, seconds: float = 30.0) -> None:
        """Wait until each of these (all) heads says of all heads that they are up."""
        for head in self.heads if heads is None else heads:
            try:
                wait_for(partial(self.well, head), f"{head.name} to find all heads up", seconds)
            except TimeoutError as err:
                raise TimeoutError(f"{err}; it says {said(head)}\n{head.journal()[-3000:]}") from None

    def well(self, head: Head) -> bool:
        """Whether a head answers, from what is no old news, and finds all heads of the cluster up, and no other."""
        try:
            answer = head.api("GET", "/heads", timeout=5)
        except (OSError, ValueError, http.client.HTTPException):
            return False
        expected = {one.uid: "up" for one in self.heads}
        if answer.status != 200 or "X-Stale" in answer.headers:
            return False
        return {uid: one["state"] for uid, one in answer.data.items()} == expected

    def mend(self) -> None:
        """End whatever was done to the heads: cables in, power on, everything running."""
        self.run.network.repair()
        for head in self.heads:
            if not head.is_on:
                self.run.power_on(head)
                continue
            head.thaw()
            for unit in (UNIT, ETCD):
                head.signal(signal.SIGCONT, unit)
                if head.is_masked(unit):
                    head.revive(unit)
            head.systemctl("start", "clusterware-head-agent.socket", UNIT)
        founder, *others = self.heads
        for head in others:
            if head.uid not in founder.api("GET", "/heads").data:
                head.run("cw-headctl", "join", "--force", *self.invitation(founder), check=False)

    def etcd_leader(self) -> Head:
        """The head that carries etcd's leader; raises TimeoutError while there is none."""
        state = "/var/lib/clusterware-head-agent"

        def found() -> Head | None:
            for head in self.heads:
                url = f"https://{head.address}:{ETCD_PORT}/v3/maintenance/status"
                tls = ["--cacert", f"{state}/etcd-ca.pem", "--cert", f"{state}/head.pem"]
                told = head.run("curl", "-s", "--max-time", "1", *tls, "-d", "{}", url, check=False).stdout
                status = json.loads(told) if told else {}
                if status.get("leader") == status.get("header", {}).get("member_id", ""):
                    return head
            return None

        leader: Head = wait_for(found, "etcd to have a leader")
        return leader

    def others(self, *heads: Head) -> list[Head]:
        """The heads of the cluster but for these."""
        return [head for head in self.heads if head not in heads]


def everywhere(heads: Iterable[Head], condition: Callable[[Head], object], what: str, seconds: float = 20.0) -> None:
    """Wait until the condition holds for each of these heads; raises TimeoutError."""
    for head in heads:
        wait_for(partial(condition, head), f"{head.name}: {what}", seconds)


def said(head: Head) -> object:
    """What a head says of all heads, in a few words; never fails."""
    try:
        body = head.api("GET", "/heads", timeout=5).body
    except (OSError, ValueError, http.client.HTTPException) as err:
        return repr(err)
    return {uid: one["state"] for uid, one in body.get("data", {}).items()} | body.get("meta", {}) or body


def ca_sha256(head: Head) -> str:
    """The SHA-256 of the CA's certificate, as an operator reads it on that head."""
    pem: str = head.api("GET", "/head/peerurl").data["ca_pem"]
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


def failing(head: Head, *argv: str) -> Done:
    """Run a command in the head that has to fail."""
    done = head.run(*argv, check=False)
    assert done.returncode != 0, done.stdout
    return done

"""Heads that are an engine and nothing else: each with a state directory, a certificate, an address, an etcd unit."""

from __future__ import annotations

import contextlib
import shutil
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from agent.adapters.clock import SystemClock
from agent.adapters.etcd.engine import HeadEngine
from agent.adapters.etcd.members import VOTERS
from agent.adapters.identity.files import IdentityFiles, Place
from agent.config import Config, Database, State
from agent.config import Head as HeadSection
from agent.heads.identity import Identity
from agent.heads.members import Members
from agent.loops import Loops
from agent.model import Head, Kind, Record
from agent.ports import Put
from tests.support.etcd import network
from tests.support.etcd_unit import EtcdProcess

CLUSTER = "c" * 32


@dataclass
class EngineHead:
    """One head. `agent()` is a run of its engine; the etcd unit outlives it, as with systemd."""

    uid: str
    address: str
    directory: Path
    config: Config
    identity: Identity
    heads: dict[str, Head]
    units: EtcdProcess
    voters: int = VOTERS

    @property
    def peer_url(self) -> str:
        """Where its etcd talks to its peers."""
        return f"https://{self.address}:{self.config.etcd.peer_port}"

    def configure(self, engine: str) -> None:
        """Set `database.engine`."""
        self.config = replace(self.config, database=replace(self.config.database, engine=engine))

    @contextlib.asynccontextmanager
    async def agent(self) -> AsyncIterator[HeadEngine]:
        """Its engine, as the agent opens it."""

        def members() -> Members:
            return Members(CLUSTER, self.uid, self.heads, {}, 1)

        opening = HeadEngine.open(
            self.config,
            self.units,
            SystemClock(),
            lambda: (self.address,),
            lambda: self.identity,
            members,
            Loops(),
            self.voters,
        )
        async with opening as engine:
            yield engine

    def names(self, pattern: str = "*") -> list[str]:
        """The files of its state directory."""
        return sorted(path.name for path in self.directory.glob(pattern))


@dataclass
class EngineHeads:
    """Heads of one cluster, with one CA."""

    directory: Path
    net: str = field(default_factory=network)
    made: list[EngineHead] = field(default_factory=list)
    heads: dict[str, Head] = field(default_factory=dict)

    def add(self, engine: str = "auto") -> EngineHead:
        """One more head; it has a record, as far as the engine needs to know."""
        number = len(self.made) + 1
        uid, address = f"{number}" * 32, f"{self.net}.{number}"
        directory = self.directory / f"head{number}"
        directory.mkdir(mode=0o700)
        if self.made:
            shutil.copy(self.made[0].directory / "ca.pem", directory / "ca.pem")
        # Between loopback addresses the caller's is always this one, and etcd checks it against the certificate.
        place = Place((), (address, "127.0.0.1"), (f"{address}:1",))
        identity = IdentityFiles(directory, uid, lambda: place).open(CLUSTER, datetime.now(UTC))
        self.heads[uid] = Head("key", ca_pem=identity.ca_pem)
        config = Config(
            head=HeadSection(uid=uid),
            state=State(directory=directory),
            database=Database(path=directory / "agent.db", engine=engine),
        )
        head = EngineHead(uid, address, directory, config, identity, self.heads, EtcdProcess(directory / "etcd.yaml"))
        self.made.append(head)
        return head

    async def end(self) -> None:
        """Stop every etcd."""
        for head in self.made:
            await head.units.end(signal.SIGKILL)


def sample(number: int) -> list[Put]:
    """So many images with files, and what every database begins with."""
    images = []
    for n in range(number):
        body = {"name": f"image{n}", "content": {"filename": f"f/{n}"}}
        images.append(Put(Kind.IMAGE, f"{n:032d}", body, f"image{n}", 0, [f"f/{n}"]))
    return [Put(Kind.CLUSTER, "cluster", {"id": CLUSTER}, expect=0), *images]


async def held(engine: HeadEngine) -> dict[tuple[str, str], tuple[object, object]]:
    """Everything that its store holds, revisions left out."""
    records: list[Record] = [record for kind in Kind for record in await engine.store.records(kind)]
    return {(record.kind, record.uid): (record.name, record.body) for record in records}

"""Heads that join and leave each other without a network: the product's rooms, and what is outside them in memory."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typing_extensions import override

from agent import __version__
from agent.api.envelope import STATUS
from agent.config import Config, Live
from agent.database.backups import Backups
from agent.database.membership import FAREWELL, Membership
from agent.errors import AgentError
from agent.heads.admission import Admission
from agent.heads.directory import HeadDirectory
from agent.heads.introduction import JoinRequest
from agent.heads.joining import PROBE, Joined, Joining, Means
from agent.heads.parting import Parting
from agent.heads.registry import HeadRegistry
from agent.heads.sponsor import Invitation
from agent.model import Head
from agent.ports import (
    CertificateRequest,
    Clock,
    Credentials,
    Introductions,
    Issued,
    PeerAnswer,
    Registrar,
)
from agent.ports.note import Note
from tests.support.clock import StillClock
from tests.support.memory_engine import Hook, MemoryEngine
from tests.support.memory_store import MemoryStore
from tests.support.peers import Asked, MemoryPeers, answered
from tests.support.ssh import pair
from tests.support.unwatched import unwatched


def pem(name: str) -> str:
    """Something that looks like a certificate and is called that."""
    return f"-----BEGIN CERTIFICATE-----\n{base64.b64encode(name.encode()).decode()}\n-----END CERTIFICATE-----\n"


def sha256(ca_pem: str) -> str:
    """The hash that an operator would be told of it."""
    return hashlib.sha256(base64.b64decode("".join(ca_pem.split("-----")[2].split()))).hexdigest()


class MemoryCredentials(Credentials, Registrar):
    """CAs and keys are words; `on_change` writes the head's own record, as the agent does."""

    def __init__(self, uid: str, hook: Hook) -> None:
        self.key, self.ca = f"key of {uid[-2:]}", f"CA of {uid[-2:]}"
        self.on_change: Callable[[], Awaitable[object]] | None = None
        self._hook = hook
        self._aside: tuple[str, str] | None = None
        self._note: str | None = None
        self._made = 0

    @property
    def key_sha256(self) -> str:
        """What its record pins."""
        return hashlib.sha256(self.key.encode()).hexdigest()

    @override
    async def certify(self, request: str, uid: str, names: Sequence[str], addresses: Sequence[str]) -> Issued:
        """The key is what the request says."""
        self._hook("certify")
        return Issued("a certificate", pem(self.ca), f"key of {self.ca}", hashlib.sha256(request.encode()).hexdigest())

    @override
    async def request(self) -> CertificateRequest:
        """The request is the key."""
        return CertificateRequest(self.key, ("head",))

    @override
    async def adopt(self, cluster: str, issued: Issued) -> None:
        """Go over to that CA."""
        self._hook("adopt")
        self._exchange(cluster, self.key, issued.ca_key.removeprefix("key of "))

    @override
    async def begin(self, cluster: str) -> None:
        """Go over to new ones."""
        self._hook("begin")
        self._made += 1
        self._exchange(cluster, f"{self.key}, new", f"CA {self._made} of {cluster}")

    @override
    async def settle(self, cluster: str) -> None:
        """Keep them or go back."""
        self._hook("settle")
        if self._note not in (None, cluster) and self._aside is not None:
            self.key, self.ca = self._aside
        self._note = self._aside = None
        if self.on_change is not None:
            await self.on_change()

    def _exchange(self, cluster: str, key: str, ca: str) -> None:
        self._aside, self._note = self._aside or (self.key, self.ca), cluster
        self.key, self.ca = key, ca


class MemoryNote(Note):
    """A note in memory."""

    def __init__(self, hook: Hook) -> None:
        self.content: dict[str, Any] | None = None
        self._hook = hook

    @override
    async def read(self) -> dict[str, Any] | None:
        """What is noted."""
        return self.content

    @override
    async def write(self, content: Any) -> None:
        """Keep it."""
        self._hook("note")
        self.content = dict(content)

    @override
    async def clear(self) -> None:
        """Forget it."""
        self._hook("clear")
        self.content = None


class Door(Introductions):
    """The agent of another head, before either knows the other. What it shows can be changed."""

    def __init__(self, hook: Hook) -> None:
        self.host: MovingHead | None = None
        self.shown: dict[str, Any] = {}
        self.changed_on_the_way: dict[str, Any] = {}
        """What somebody in between puts in the place of what is shown, until the CA is proved."""
        self.time: datetime | None = None
        self.refusal: PeerAnswer | None = None
        self.knocked: Callable[[JoinRequest], Awaitable[Any]] | None = None
        """What answers a newcomer in the host's place."""
        self.tokens: list[str] = []
        self._hook = hook

    @override
    async def look(self, url: str) -> tuple[PeerAnswer, datetime | None]:
        """What GET /head/peerurl says there."""
        self._hook("look")
        assert self.host is not None
        return answered({**self._peerurl(self.host), **self.changed_on_the_way}), self.time or self.host.clock.now()

    def _peerurl(self, host: MovingHead) -> dict[str, Any]:
        return {
            "uid": host.uid,
            "cluster": host.registry.members.cluster,
            "store": host.engine.kind,
            "version": __version__,
            "ca_pem": host.ca_pem,
            "peer_url": None,
            **self.shown,
        }

    @override
    async def ask(self, url: str, ca_pem: str, token: str | None, method: str, path: str, body: Any) -> PeerAnswer:
        """Ask with the token, which is taken unless `refusal` says otherwise."""
        self._hook(f"{method} {path.partition('?')[0][:11]}")
        assert self.host is not None
        if token is None:
            assert (method, path) == ("GET", "/head/peerurl")
            return answered(self._peerurl(self.host))
        self.tokens.append(token)
        if self.refusal is not None:
            return self.refusal
        if method == "POST":
            admit = self.knocked or self.host.admission.admit
            return await self.host.answer(admit(msgspec.convert(body, JoinRequest)))
        uid = path.removeprefix("/head/").partition("?")[0]
        return await self.host.answer(self.host.directory.remove(uid, force="force" in path))


@dataclass
class MovingHead:
    """One head's rooms for joining and leaving, over a store and credentials in memory unless others are given."""

    number: int
    directory_of_backups: Path
    store: Any = field(default_factory=MemoryStore)
    clock: Clock = field(default_factory=StillClock)
    note: Any = None
    engines: tuple[str, ...] = ("sqlite", "etcd")
    failing: dict[str, AgentError] = field(default_factory=dict)
    """What to fail, by the word that hooks are told (`settle`, or the second one alone: `settle 2`), and how."""
    done: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.uid = f"{self.number:032d}"
        live = Live(Config())
        self.registry = HeadRegistry(self.store, self.uid, self.clock)
        self.engine = MemoryEngine(self.store, self.hook)
        watch = unwatched(self.clock.now())
        self.directory = HeadDirectory(self.store, self.registry, self.clock, watch, live, self.engine)
        self.credentials: Any = MemoryCredentials(self.uid, self.hook)
        self.credentials.on_change = self.write_own_record
        self.admission = Admission(
            self.store, self.registry, self.directory, lambda: self.credentials, self.engine, self.clock
        )
        self.parting = Parting(self.store, self.registry, self.clock)
        self.door = Door(self.hook)
        self.peers = MemoryPeers()
        self.note = self.note or MemoryNote(self.hook)
        self.backups = Backups(self.store, self.directory_of_backups, live, self.clock, self.registry.load)
        means = Means(lambda: self.engines, lambda: "https://192.0.2.1:52392", self.backups.write, self.backups.doing)
        self.joining = Joining(
            self.store,
            self.registry,
            lambda: self.credentials,
            self.door,
            self.peers,
            self.engine,
            self.engine,
            means,
            self.clock,
        )
        self.membership = Membership(
            self.store,
            self.uid,
            self.peers,
            self.engine,
            self.engine,
            lambda: self.credentials,
            self.backups,
            self.note,
            self.clock,
            self.registry.load,
        )

    @property
    def ca_pem(self) -> str:
        """The CA that its record names."""
        return self.registry.members.heads[self.uid].ca_pem or ""

    async def start(self) -> MovingHead:
        """Do what the agent does at its start."""
        await self.write_own_record()
        return self

    def meets(self, *others: MovingHead) -> None:
        """The first one's door is knocked at; all of them answer as members would."""
        self.door.host = others[0]
        for other in others:
            self.peers.heads[other.uid] = other.as_peer_of(self.uid)

    def hook(self, word: str) -> None:
        """Note what is done, and fail it where the test wants that."""
        self.done.append(word)
        for named in (word, f"{word} {self.done.count(word)}"):
            if named in self.failing:
                raise self.failing[named]

    async def join(self, token: str = "a token", *, ca_sha256: str | None = None, force: bool = False) -> Joined:
        """Join the cluster of the head behind the door."""
        assert self.door.host is not None
        wanted = ca_sha256 or sha256(self.door.host.ca_pem)
        return await self.joining.join(Invitation("https://192.0.2.9:52390", token, wanted, force))

    async def write_own_record(self) -> None:
        """The record follows the certificate."""
        await self.registry.ensure_self(
            Head(
                ssh_public=pair("ed25519", self.number).public,
                ca_pem=pem(self.credentials.ca),
                key_sha256=self.credentials.key_sha256,
                url=f"https://192.0.2.{self.number}:52390",
                version=__version__,
            )
        )

    def as_peer_of(self, caller: str) -> Callable[[Asked], Awaitable[PeerAnswer]]:
        """What this head answers that one, as long as it is a member."""

        async def respond(asked: Asked) -> PeerAnswer:
            if caller not in self.registry.members.heads:
                gone = self.registry.members.tombstones.get(caller)
                code = gone.departure.value if gone else "not-a-known-head"
                return answered(status=403, reason="not a head of this cluster", code=code)
            if (asked.method, asked.path) == ("POST", FAREWELL):
                return await self.answer(self.parting.farewell(caller))
            assert (asked.method, asked.path) == ("GET", PROBE)
            return answered([])

        return respond

    async def answer(self, work: Awaitable[Any]) -> PeerAnswer:
        """What comes of it, in the envelope."""
        try:
            return answered(msgspec.to_builtins(await work))
        except AgentError as err:
            status = next(STATUS[kind] for kind in type(err).__mro__ if kind in STATUS)
            return answered(status=status, reason=err.reason, code=err.code)

    async def shape(self) -> tuple[str, list[str], str]:
        """Its cluster, the heads that it knows, and its CA."""
        await self.registry.load()
        return self.registry.members.cluster, sorted(self.registry.members.heads), self.credentials.ca


async def two(directory: Path) -> tuple[MovingHead, MovingHead]:
    """A head of a cluster, and one that stands before its door."""
    first, second = MovingHead(1, directory / "1"), MovingHead(2, directory / "2")
    for one in (first, second):
        await one.start()
    second.meets(first)
    first.meets(second)
    return first, second


async def refusal(head: MovingHead, **how: Any) -> AgentError:
    """Why it cannot join."""
    with pytest.raises(AgentError) as refused:
        await head.join(**how)
    assert refused.value.reason
    return refused.value

"""Several real daemons on loopback addresses of their own, which join each other over real TLS."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import signal
import ssl
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.daemon import ROOT, Daemon, free_port, started
from tests.support.http import client
from tests.support.ssh import pair

_TIMEOUT = aiohttp.ClientTimeout(total=60)


@dataclass
class HeadDaemon:
    """A head's directory and, while it runs, its daemon; number `n` is at 127.0.0.n."""

    directory: Path
    number: int
    uid: str
    url: str
    config: Path
    daemon: Daemon | None = None

    @contextlib.contextmanager
    def running(self) -> Iterator[HeadDaemon]:
        """The daemon, ready; killed at the end."""
        with started(self.config) as self.daemon:
            assert self.daemon.heard() == {"READY": "1"}
            yield self

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        """Status and envelope of a request on the Unix socket."""
        async with (
            client(self.directory / "sock") as session,
            session.request(method, path, json=body, timeout=_TIMEOUT) as answer,
        ):
            return answer.status, await answer.json()

    async def data(self, method: str, path: str, body: Any = None) -> Any:
        """What a request that must succeed brought."""
        status, envelope = await self.ask(method, path, body)
        assert status < 400, envelope
        return envelope["data"]

    async def heads(self) -> dict[str, Any]:
        """The heads that it knows, by uid."""
        return dict(await self.data("GET", "/heads"))

    async def cluster(self) -> str:
        """The cluster that it is in."""
        return str((await self.data("GET", "/head/peerurl"))["cluster"])

    async def token(self, **asked: Any) -> str:
        """A token that it made."""
        made = await self.data("POST", "/head/token", {"permissions": ["HeadsWrite"], "lifespan": "1h", **asked})
        return str(made["token"])

    async def ca_sha256(self) -> str:
        """The hash of its CA."""
        pem = (await self.data("GET", "/head/peerurl"))["ca_pem"]
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()

    async def invitation(self) -> dict[str, Any]:
        """What another head needs to join this one's cluster."""
        return {"url": self.url, "token": await self.token(), "ca_sha256": await self.ca_sha256()}

    async def join(self, other: HeadDaemon) -> tuple[int, dict[str, Any]]:
        """Join the cluster of another head."""
        return await self.ask("POST", "/head/join", await other.invitation())

    def ctl(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """cw-headctl on this head."""
        command = [sys.executable, "-m", "agent.ctl", "--socket", str(self.directory / "sock"), *arguments]
        return subprocess.run(command, cwd=ROOT, input=stdin, capture_output=True, text=True, timeout=60, check=False)

    def ended(self) -> str:
        """Stop it; all that it has logged."""
        assert self.daemon is not None
        self.daemon.signal(signal.SIGTERM)
        return self.daemon.ended()[1]

    def files(self) -> dict[str, bytes]:
        """What says who it is: the files of its state directory, the database and its companions left out."""
        state = self.directory / "state"
        return {p.name: p.read_bytes() for p in state.iterdir() if p.is_file() and not p.name.startswith("agent.db")}


@contextlib.contextmanager
def running(directory: Path, number: int) -> Iterator[list[HeadDaemon]]:
    """So many heads, none of which has run before, with their daemons ready; killed at the end."""
    heads = [head(directory, n + 1) for n in range(number)]
    with contextlib.ExitStack() as stack:
        for one in heads:  # side by side: without D-Bus each waits for it for a while
            one.daemon = stack.enter_context(started(one.config))
        for one in heads:
            assert one.daemon is not None
            assert one.daemon.heard() == {"READY": "1"}
        yield heads


def head(directory: Path, number: int, extra: str = "") -> HeadDaemon:
    """A head that has never run."""
    place = directory / f"head{number}"
    (place / "store").mkdir(parents=True)
    pair("ed25519", number).write(place / "ssh_key")
    uid = f"{number:032d}"
    url = f"https://127.0.0.{number}:{free_port()}"
    config = place / "head-agent.ini"
    config.write_text(
        f"[head]\nuid = {uid}\n[api]\nlisten = {url.removeprefix('https://')}\nurl = {url}\nsocket = {place}/sock\n"
        f"drain = 0s\n[auth]\nssh_key = {place}/ssh_key\n[files]\nroot = {place}/store\n"
        f"[database]\npath = {place}/state/agent.db\n[state]\ndirectory = {place}/state\n{extra}"
    )
    return HeadDaemon(place, number, uid, url, config)


async def eventually(
    look: Callable[[], Awaitable[dict[str, Any]]], good: Callable[[dict[str, Any]], bool], *, seconds: float = 30.0
) -> dict[str, Any]:
    """What `look` sees once it is good; nothing signals it here. Raises AssertionError after `seconds`."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not good(seen := await look()):
        assert asyncio.get_running_loop().time() < deadline, shown(seen)
        await asyncio.sleep(0.1)
    return seen


def shown(value: Any) -> str:
    """Something as JSON, for a test that fails."""
    return json.dumps(value, indent=1)

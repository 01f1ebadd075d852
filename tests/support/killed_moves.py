"""Joins and leaves of a head with real files, each in a process that is killed at its n-th step, then a new start.

`python -m tests.support.killed_moves join|leave DIRECTORY` prints, for n = 1, 2, ... until one gets through unharmed, a
line of JSON: what a start found after the kill and, every third time, what asking again then made of it.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from cryptography import x509
from typing_extensions import override

from agent.adapters.clock import SystemClock
from agent.adapters.identity.checks import issued_directly
from agent.adapters.identity.credentials import HeadCredentials
from agent.adapters.identity.files import IdentityFiles, Place
from agent.adapters.identity.handover import Handover
from agent.adapters.identity.keeper import IdentityKeeper
from agent.adapters.note import NoteFile
from agent.adapters.sqlite.store import SqliteStore
from agent.heads.identity import Identity
from agent.loops import Loops
from agent.model import Head, Kind
from agent.ports import Change, Put
from tests.support.moving import MovingHead
from tests.support.ssh import pair

_PASSING = (".ca", ".head", "handover", "leaving")
"""How the files begin that no move leaves behind."""
STEPS = ("move.step", "open", "os.rename", "os.link", "os.remove", "os.mkdir", "sqlite3.connect")
"""The audit events that count as steps; SQLite's own writes are its own to survive."""


class SteppingStore(SqliteStore):
    """The embedded store, a step before and after each commit."""

    @override
    async def commit(self, *changes: Change) -> int:
        """Apply them."""
        sys.audit("move.step", str(self._path))
        revision = await super().commit(*changes)
        sys.audit("move.step", str(self._path))
        return revision


@asynccontextmanager
async def opened(place: Path, number: int) -> AsyncIterator[MovingHead]:
    """A head after its start: database and certificate on the disk, other heads a function call away."""
    state, clock = place / str(number), SystemClock()
    state.mkdir(exist_ok=True)
    async with SteppingStore.open(state / "agent.db") as store:
        head = MovingHead(number, state / "backups", store, clock, note=NoteFile(state / "leaving.json"))
        here = Place((f"head{number}",), (f"192.0.2.{number}",), (), f"https://192.0.2.{number}:52390")
        files = IdentityFiles(state, head.uid, lambda: here)
        await head.registry.load()
        Handover(state).settle(head.registry.members.cluster)
        identity = files.open(head.registry.members.cluster, clock.now())

        async def follow(fresh: Identity) -> None:
            await head.registry.ensure_self(
                Head(
                    ssh_public=pair_of(place, number),
                    ca_pem=fresh.ca_pem,
                    addresses=fresh.addresses,
                    key_sha256=fresh.key_sha256,
                    url=fresh.url,
                    version="1",
                )
            )

        keeper = IdentityKeeper(files, identity, clock, Loops(), follow)
        head.credentials = HeadCredentials(state, head.uid, lambda: here, keeper, clock)
        await follow(identity)
        yield head


def pair_of(place: Path, number: int) -> str:
    """The same SSH key in every process."""
    path = place / f"ssh{number}"
    if not path.exists():
        path.write_text(pair("ed25519", number).public)
    return path.read_text()


async def move(place: Path, what: str) -> None:
    """Have the second head join the first, or leave it."""
    async with opened(place, 1) as first, opened(place, 2) as second:
        first.meets(second)
        second.meets(first)
        await second.membership.resume()
        if what == "join":
            await second.join()
        else:
            await second.membership.leave()


async def state(place: Path) -> dict[str, Any]:
    """What a start of both heads finds."""
    async with opened(place, 1) as first, opened(place, 2) as second:
        first.meets(second)
        second.meets(first)
        await second.membership.resume()
        ca = x509.load_pem_x509_certificate((place / "2" / "ca.pem").read_bytes())
        mine = x509.load_pem_x509_certificate((place / "2" / "head.pem").read_bytes())
        own = second.registry.members.heads.get(second.uid)
        cluster = x509.load_pem_x509_certificate((place / "1" / "ca.pem").read_bytes())
        return {
            "member": second.registry.members.cluster == first.registry.members.cluster,
            "same_ca": ca == cluster,
            "certificate_fits": issued_directly(mine, ca),
            "record_fits": own is None or x509.load_pem_x509_certificate((own.ca_pem or "").encode()) == ca,
            "heads": sorted(uid[-1] for uid in second.registry.members.heads),
            "known_there": second.uid in first.registry.members.heads,
            "tombstone_there": second.uid in first.registry.members.tombstones,
            "images": len(await second.store.records(Kind.IMAGE)),
            "left_over": sorted(
                p.name for p in (place / "2").iterdir() if p.name.startswith((".ca", ".head", "handover", "leav"))
            ),
        }


async def furnish(place: Path, what: str) -> None:
    """Two heads, of which the second has an image; for a leave they are a cluster."""
    place.mkdir(parents=True)
    async with opened(place, 1), opened(place, 2) as second:
        await second.store.commit(Put(Kind.IMAGE, "i" * 32, {"name": "mine", "made": str(datetime.now(UTC))}, "mine"))
    if what == "leave":
        await move(place, "join")


def killed_at(step: int, place: Path) -> None:
    """Have this process killed, with no chance to clean up, at its `step`-th step within `place`."""
    left = step

    def hook(event: str, args: tuple[Any, ...]) -> None:
        nonlocal left
        if event in STEPS and args and str(place) in str(args[0]):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def moved(place: Path, what: str, step: int) -> bool:
    """Move in a process of its own; whether that was killed, at `step`. Any other failure ends everything."""
    child = os.fork()
    if child == 0:
        if step:
            killed_at(step, place / "2")
        asyncio.run(move(place, what))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return True
    if status != 0:
        sys.exit(f"a {what} failed: status {status}")
    return False


def main(what: str, directory: Path) -> None:
    """Kill at every step in turn."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("critical"))
    template = directory / "template"
    asyncio.run(furnish(template, what))
    step, killed = 0, True
    while killed:
        step += 1
        place = directory / "place"
        shutil.copytree(template, place)
        killed = moved(place, what, step)
        found = asyncio.run(state(place))
        then = None
        if step % 3 == 0 or not killed:
            moved(place, what, 0)
            then = asyncio.run(state(place))
        print(json.dumps({"killed": killed, "found": found, "then": then}), flush=True)
        shutil.rmtree(place)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

"""Changes of engine with real etcds, each in a process that is killed at its n-th step, then a new start.

`python -m tests.support.killed_engines DIRECTORY migrate|join|leave|rescue FIRST EVERY` prints, for n = FIRST,
FIRST + EVERY, ... until one gets through unharmed (EVERY 0: for that one alone), a line of JSON: what a start found
after the kill, and what asking again made of it.
The etcds run on when the process is killed, as units of systemd do.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from typing_extensions import override

from agent.adapters.etcd.choice import read
from agent.adapters.etcd.engine import HeadEngine
from agent.errors import AgentError, Failed
from agent.model import Kind
from agent.ports import Put, Verb
from tests.support.engine_heads import EngineHead, EngineHeads, held, sample
from tests.support.etcd_unit import EtcdProcess

RECORDS = 30
STEPS = ("engine.step", "open", "os.rename", "os.link", "os.remove", "os.mkdir", "sqlite3.connect", "socket.connect")
"""The audit events that count as steps, as far as they are about the state directory or an etcd."""


@dataclass
class RemoteUnit(EtcdProcess):
    """A unit that another process runs: see `serve`."""

    place: Path = Path()

    @override
    async def job(self, verb: Verb, unit: str, timeout: float) -> str:
        """Ask for it; a step before and after."""
        sys.audit("engine.step", str(self.settings))
        reader, writer = await asyncio.open_unix_connection(self.place / "units")
        try:
            writer.write(json.dumps([str(self.settings), verb, unit, timeout]).encode() + b"\n")
            answer = json.loads(await reader.readline())
        finally:
            writer.close()
        sys.audit("engine.step", str(self.settings))
        if "error" in answer:
            raise Failed(answer["error"])
        return str(answer["result"])


async def serve(place: Path) -> None:
    """Run the units of all heads for ever; `end` as a verb kills them all."""
    units: dict[str, EtcdProcess] = {}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        settings, verb, unit, timeout = json.loads(await reader.readline())
        told: dict[str, str] = {"result": "done"}
        if verb == "end":
            for one in units.values():
                await one.end(signal.SIGKILL)
        else:
            process = units.setdefault(settings, EtcdProcess(Path(settings)))
            try:
                told = {"result": await process.job(Verb(verb), unit, timeout)}
            except AgentError as err:
                told = {"error": err.reason}
        with contextlib.suppress(ConnectionError):  # whoever asked may have been killed
            writer.write(json.dumps(told).encode() + b"\n")
            await writer.drain()
        writer.close()

    async with await asyncio.start_unix_server(answer, place / "units") as server:
        (place / "listening").touch()
        await server.serve_forever()


async def ask(place: Path, verb: str) -> None:
    """Tell the process that runs the units."""
    reader, writer = await asyncio.open_unix_connection(place / "units")
    writer.write(json.dumps(["", verb, "", 0]).encode() + b"\n")
    await reader.readline()
    writer.close()


def heads(place: Path) -> tuple[EngineHead, EngineHead]:
    """Two heads, whose units run elsewhere; the same in every process that is forked from this one."""
    made = EngineHeads(place / "heads")
    made.directory.mkdir(exist_ok=True)
    one, two = made.add(), made.add()
    for head in (one, two):
        head.units = RemoteUnit(head.units.settings, place=place)
    return one, two


async def furnish(one: EngineHead, two: EngineHead, what: str) -> None:
    """What a move begins with: records on one head, and a cluster of both for a leave or a rescue."""
    async with one.agent() as first, two.agent() as second:
        await first.store.commit(*sample(RECORDS))
        await second.store.commit(*sample(0))
        if what != "migrate":
            await first.found("etcd")
        if what in ("leave", "rescue"):
            await second.attach(await first.invite(two.uid, two.peer_url))


async def move(one: EngineHead, two: EngineHead, what: str) -> None:
    """The second head moves, or the first where nobody else is needed."""
    match what:
        case "migrate":
            async with one.agent() as engine:
                if engine.kind == "sqlite":
                    await engine.found("etcd")
        case "join":
            async with one.agent() as first, two.agent() as second:
                await second.attach(await first.invite(two.uid, two.peer_url))
        case "leave":
            async with one.agent() as first, two.agent() as second:
                await _writable(first)
                if second.kind == "etcd":
                    records = [record for kind in Kind for record in await second.store.records(kind)]
                    await first.dismiss(two.uid)
                    await second.found("sqlite", records)
        case _:
            async with two.agent() as engine:
                if engine.store.age is not None:
                    await engine.rescue()


async def found(one: EngineHead, two: EngineHead, what: str) -> dict[str, Any]:
    """What a start finds, once it has done what it does by itself."""
    head = one if what == "migrate" else two
    async with contextlib.AsyncExitStack() as stack:
        if what in ("join", "leave"):
            await stack.enter_async_context(one.agent())
        engine = await stack.enter_async_context(head.agent())
        if what != "rescue" or engine.store.age is None or read(head.directory).rescuing:
            await _settle(engine)
        records = await held(engine)
        members = [member.head[0] for member in await engine.members()] if engine.store.age is None else []
        left = [*head.names("moving*"), *head.names("rescued*")]
        data = [path for path in head.directory.glob("etcd-*") if path.is_dir() and ".before-" not in path.name]
        if what != "rescue" or engine.store.age is None:
            await engine.store.commit(Put(Kind.REPO, "r" * 32, {"name": "r"}, "r"))
        return {
            "kind": engine.kind,
            "stale": engine.store.age is not None,
            "images": sum(kind == Kind.IMAGE for kind, _ in records),
            "members": members,
            "left": left,
            "data": len(data),
        }


async def _settle(engine: HeadEngine) -> None:
    """A member that was dismissed does not stay up: then there is nothing to wait for."""
    for _ in range(8):
        try:
            await engine.reconcile()
        except AgentError:
            await asyncio.sleep(0.5)
        else:
            return


async def _writable(engine: HeadEngine) -> None:
    async with asyncio.timeout(20):
        while engine.store.age is not None:  # noqa: ASYNC110  nothing signals it
            await asyncio.sleep(0.05)


def killed_at(step: int, place: Path, addresses: tuple[str, ...]) -> None:
    """Have this process killed, with no chance to clean up, at its `step`-th step."""
    left = step

    def hook(event: str, args: tuple[Any, ...]) -> None:
        nonlocal left
        if event not in STEPS or not args:
            return
        if event == "socket.connect":
            ours = isinstance(args[1], tuple) and args[1][0] in addresses
        else:
            ours = str(place) in str(args[0])
        if ours:
            left -= 1
            if left == 0:
                print(f"{step}: {event} {args}"[:200], file=sys.stderr, flush=True)
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


class Bench:
    """Two heads whose state is put back before each attempt."""

    def __init__(self, place: Path, what: str) -> None:
        self.place, self.what = place, what
        self.one, self.two = heads(place)
        self._template = place / "template"

    def begin(self) -> None:
        """Furnish, and keep that."""
        self._forked(furnish(self.one, self.two, self.what), 0)
        asyncio.run(ask(self.place, "end"))
        _copy(self.place / "heads", self._template)

    def attempt(self, step: int) -> tuple[bool, dict[str, Any], dict[str, Any]]:
        """Whether it was killed, what was found then, and what a second run made of it."""
        asyncio.run(ask(self.place, "end"))
        shutil.rmtree(self.place / "heads")
        _copy(self._template, self.place / "heads")
        if self.what == "join":
            self._forked(_start(self.one), 0)
        if self.what == "leave":
            self._forked(_start(self.one, self.two), 0)
        killed = self._forked(move(self.one, self.two, self.what), step)
        seen = asyncio.run(found(self.one, self.two, self.what))
        self._forked(move(self.one, self.two, self.what), 0)
        return killed, seen, asyncio.run(found(self.one, self.two, self.what))

    def _forked(self, work: Any, step: int) -> bool:
        child = os.fork()
        if child == 0:
            moving = self.one if self.what == "migrate" else self.two
            if step:
                killed_at(step, moving.directory, (self.one.address, self.two.address))
            status = 1
            with contextlib.suppress(Exception):
                asyncio.run(work)
                status = 0
            os._exit(status)
        work.close()
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            return True
        if status != 0:
            raise RuntimeError(f"a {self.what} failed: status {status}")
        return False


async def _start(*all_heads: EngineHead) -> None:
    """Have the members of both run."""
    async with contextlib.AsyncExitStack() as stack:
        engines = [await stack.enter_async_context(head.agent()) for head in all_heads]
        for _ in range(40):
            await asyncio.gather(*(engine.reconcile() for engine in engines), return_exceptions=True)
            if all(engine.store.age is None for engine in engines):
                return


def _copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-a", "--sparse=always", str(source), str(target)], check=True)


def main(what: str, place: Path, first: int, every: int) -> None:
    """Kill at every so many steps."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("critical"))
    place.mkdir(parents=True)
    server = os.fork()
    if server == 0:
        asyncio.run(serve(place))
    while not (place / "listening").exists():
        time.sleep(0.01)
    try:
        bench = Bench(place, what)
        bench.begin()
        step, killed = first, True
        while killed:
            killed, seen, then = bench.attempt(step)
            print(json.dumps({"step": step, "killed": killed, "found": seen, "then": then}), flush=True)
            if not every:
                break
            step += every
    finally:
        asyncio.run(ask(place, "end"))
        os.kill(server, signal.SIGKILL)
        os.waitpid(server, 0)


def attempts(what: str, place: Path, first: int, every: int) -> list[dict[str, Any]]:
    """What `main` prints, from a process of its own: the last one was not killed, if there is more than one."""
    command = [sys.executable, "-m", __name__, str(place), what, str(first), str(every)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{what}: {done.stderr[-3000:]}")
    return [json.loads(line) for line in done.stdout.splitlines()]


Place = tuple[str, tuple[str, ...]]
"""An engine, and the heads whose members it has, as far as a quorum tells."""
_OUT, _MEMBER, _LAST = ("sqlite", ("2",)), ("etcd", ("1", "2")), ("etcd", ("1",))
ENDS: dict[str, tuple[set[Place], Place]] = {
    "migrate": ({("sqlite", ("1",)), ("etcd", ("1",))}, ("etcd", ("1",))),
    "join": ({_OUT, _MEMBER}, _MEMBER),
    "leave": ({_MEMBER, _LAST, _OUT}, _OUT),  # dismissed already, it goes on with that when it is asked again
    "rescue": ({("etcd", ()), ("etcd", ("2",))}, ("etcd", ("2",))),
}
"""Where a head may be after a kill, and where it is once asked again."""


def wrong(what: str, run: dict[str, Any]) -> list[str]:
    """What must not be, in one line that `main` printed."""
    before, after = ENDS[what]
    found = []
    for seen in (run["found"], run["then"]):
        place = (seen["kind"], tuple(seen["members"]))
        newcomer = what == "join" and place == _OUT  # has none of the cluster's records yet
        if seen["images"] != (0 if newcomer else RECORDS):
            found.append(f"{seen['images']} records")
        if seen["left"] or seen["data"] != (seen["kind"] == "etcd"):
            found.append(f"left behind: {seen['left']}, {seen['data']} data directories")
        if place not in (before if seen is run["found"] and run["killed"] else {after}):
            found.append(f"it is at {place}")
    return found + (["stale for ever"] if run["then"]["stale"] else [])


if __name__ == "__main__":
    main(sys.argv[2], Path(sys.argv[1]), int(sys.argv[3]), int(sys.argv[4]))

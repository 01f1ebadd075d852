"""cw-headctl services watch, run as operators run it, on the agent's own server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent.api.routes import ROUTES
from agent.api.streams import Streams
from agent.ports import Changed, Gone, Lost, Snapshot, Unit
from agent.services.changes import Changes
from tests.support.http import served
from tests.support.waiting import wait_for

ROWS = [row for row in ROUTES if row.path.startswith("/head/services")]
UP = Unit("clusterware-a.service", active_state="active", sub_state="running", main_pid=7)
DOWN = replace(UP, active_state="failed", sub_state="failed", main_pid=0, result="exit-code")
OTHER = replace(UP, name="clusterware-bb.service")


class Watch:
    """A running cw-headctl services watch."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def line(self) -> str:
        """Its next line, without the time."""
        return (await self._read(self.process.stdout)).partition("  ")[2]

    async def event(self) -> dict[str, object]:
        """Its next line of JSON, without the time."""
        told: dict[str, object] = json.loads(await self._read(self.process.stdout))
        assert isinstance(told.pop("time"), str)
        return told

    async def said(self) -> str:
        """Its next line on standard error."""
        return await self._read(self.process.stderr)

    async def interrupted(self) -> tuple[int, bytes]:
        """Ctrl-C: the exit status, and what else it said."""
        self.process.send_signal(signal.SIGINT)
        _, said = await self.process.communicate()
        return self.process.returncode or 0, said

    @staticmethod
    async def _read(stream: asyncio.StreamReader | None) -> str:
        assert stream is not None
        async with asyncio.timeout(20):
            return (await stream.readline()).decode().rstrip("\n")


@contextlib.asynccontextmanager
async def watching(place: Path, *words: str) -> AsyncIterator[Watch]:
    """The command, until the end of the block at the latest."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agent.ctl", "--socket", str(place), "services", "watch", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Watch(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.fixture
def changes() -> Changes:
    changes = Changes()
    changes.hear(Snapshot((OTHER, UP)))
    return changes


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "socket"


def rooms(changes: Changes) -> dict[str, object]:
    return {"supervisor": SimpleNamespace(changes=changes), "streams": Streams()}


async def test_the_table_then_changes_as_lines_until_ctrl_c(place: Path, changes: Changes) -> None:
    async with served(place, ROWS, rooms=rooms(changes)), watching(place) as watch:
        assert await watch.line() == "clusterware-a   up    active (running)          success"
        assert await watch.line() == "clusterware-bb  up    active (running)          success"
        changes.hear(Changed(DOWN))
        assert await watch.line() == "clusterware-a   down  failed (failed)           exit-code"
        changes.hear(Gone(UP.name))
        assert (await watch.line()).split() == ["clusterware-a", "gone", "-"]
        changes.hear(Lost("the bus is away"))
        assert await watch.said() == (
            "cw-headctl: the agent does not hear systemd: the bus is away; the table follows when it does"
        )
        assert await watch.interrupted() == (0, b"")


async def test_as_json_and_of_some_services_only(place: Path, changes: Changes) -> None:
    words = ("--json", "clusterware-a", "clusterware-bb.service")
    async with served(place, ROWS, rooms=rooms(changes)), watching(place, *words) as watch:
        table = await watch.event()
        assert (table["event"], len(list(table["services"]))) == ("table", 2)  # type: ignore[call-overload]
        changes.hear(Changed(replace(UP, name="clusterware-c.service")))
        changes.hear(Gone(OTHER.name))
        gone = {"name": "clusterware-bb", "unit": OTHER.name}
        assert await watch.event() == {"event": "removed", "service": gone}
        changes.hear(Lost("the bus is away"))
        assert await watch.event() == {"event": "lost", "reason": "the bus is away"}


async def test_it_connects_again_by_itself_and_says_so_once(place: Path, changes: Changes) -> None:
    async with watching(place) as refused:
        assert "no agent answers" in await refused.said()
        assert await refused.process.wait() == 4
    async with contextlib.AsyncExitStack() as stack:
        async with served(place, ROWS, rooms=rooms(changes)) as api:
            watch = await stack.enter_async_context(watching(place, "clusterware-a"))
            await watch.line()
            api.stop()
            assert "broke off (this agent is stopping): connecting again" in await watch.said()
        place.unlink()
        changes.hear(Changed(DOWN))
        async with served(place, ROWS, rooms=rooms(changes)):
            assert await watch.said() == "cw-headctl: connected again"
            assert (await watch.line()).split()[1] == "down"
            assert await watch.interrupted() == (0, b"")


async def test_a_service_that_there_is_not_is_a_wrong_argument(place: Path, changes: Changes) -> None:
    given = rooms(changes)
    async with served(place, ROWS, rooms=given), watching(place, "sshd") as watch:
        assert await watch.said() == (
            "cw-headctl: cannot follow the services: this head has no service sshd: `cw-headctl services` lists them"
        )
        assert await watch.process.wait() == 2
        streams = given["streams"]
        assert isinstance(streams, Streams)
        await wait_for(lambda: not len(streams))


async def test_what_a_head_says_of_its_services_cannot_disturb_the_terminal(place: Path) -> None:
    fields = ("name", "status", "active_state", "sub_state", "result")
    table = json.dumps([dict.fromkeys(fields, "\x1b]0;mine\x07\x1b[2J")])

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nevent: table\ndata: " + table.encode() + b"\n\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_unix_server(serve, place), watching(place) as watch:
        line = await watch.line()
        assert line.isprintable()
        assert line.count("?]0;mine??[2J") == len(fields)

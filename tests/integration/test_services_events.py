"""GET /head/services/events: the whole table, then each change, for readers of every kind."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import aiohttp
import pytest

from agent.api.routes import ROUTES
from agent.api.streams import Streams, told
from agent.ports import Changed, Gone, Lost, Snapshot, Unit
from agent.services.changes import Changes
from tests.support.events import PATH, events, next_of, rest_of
from tests.support.http import client, served
from tests.support.waiting import wait_for

ROWS = [row for row in ROUTES if row.path.startswith("/head/services")]
UNIT = Unit("clusterware-a.service", active_state="active", sub_state="running", main_pid=7, description="d" * 500)
LIMIT = 60
ASK = f"GET {PATH} HTTP/1.1\r\nHost: head\r\n\r\n".encode()


class Room:
    """The services of a head, as the test has them, and who follows them."""

    def __init__(self) -> None:
        self.changes = Changes()
        self.changes.hear(Snapshot((UNIT,)))
        self.streams = Streams(most=LIMIT, patience=0.3)

    def change(self, pid: int) -> None:
        self.changes.hear(Changed(replace(UNIT, main_pid=pid)))

    @property
    def rooms(self) -> dict[str, object]:
        return {"supervisor": SimpleNamespace(changes=self.changes), "streams": self.streams}


@pytest.fixture
def room() -> Room:
    return Room()


@pytest.fixture
async def http(room: Room, tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    async with served(tmp_path / "socket", ROWS, rooms=room.rooms), client(tmp_path / "socket") as session:
        yield session


async def test_a_reader_gets_the_table_and_then_what_changes(http: aiohttp.ClientSession, room: Room) -> None:
    async with http.get(PATH) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        assert response.headers["Cache-Control"] == "no-store"
        stream = events(response)
        table = await next_of(stream)
        assert (table.name, table.names) == ("table", ["clusterware-a"])
        room.change(8)
        changed = await next_of(stream)
        assert (changed.name, changed.data["pid"]) == ("changed", 8)
        assert changed.id != table.id
        room.changes.hear(Gone(UNIT.name))
        assert await next_of(stream) == ("removed", {"name": "clusterware-a", "unit": UNIT.name}, "3")
        room.changes.hear(Lost("the bus is away"))
        assert (await next_of(stream)).data == {"reason": "the bus is away"}
        room.changes.hear(Snapshot((UNIT,)))
        assert (await next_of(stream)).names == ["clusterware-a"]


async def test_a_reader_that_comes_back_gets_the_table_again(http: aiohttp.ClientSession, room: Room) -> None:
    async with http.get(PATH) as response:
        last = await next_of(events(response))
    room.changes.hear(Gone(UNIT.name))
    async with http.get(PATH, headers={"Last-Event-ID": str(last.id)}) as response:
        assert (await next_of(events(response))).names == []


async def test_fifty_readers_are_all_told(http: aiohttp.ClientSession, room: Room) -> None:
    async def read() -> list[int]:
        async with http.get(PATH) as response:
            stream = events(response)
            return [(await next_of(stream)).data[0]["pid"], (await next_of(stream)).data["pid"]]

    async with asyncio.TaskGroup() as group:
        readers = [group.create_task(read()) for _ in range(50)]
        await wait_for(lambda: len(room.streams) == 50)
        room.change(9)
    assert [reader.result() for reader in readers] == [[7, 9]] * 50
    await wait_for(lambda: not len(room.streams))


async def test_there_is_a_limit_to_readers(http: aiohttp.ClientSession, room: Room) -> None:
    responses = [await http.get(PATH) for _ in range(LIMIT)]
    async with http.get(PATH) as one_more:
        assert one_more.status == 503
        assert (await one_more.json())["code"] == "readers"
    responses[0].close()
    await wait_for(lambda: len(room.streams) < LIMIT)
    async with http.get(PATH) as again:
        assert again.status == 200
    for response in responses:
        response.close()
    await wait_for(lambda: not len(room.streams))


async def test_nobody_takes_all_the_places_of_readers(tmp_path: Path, room: Room) -> None:
    room.streams = Streams(most=LIMIT, each=3)
    async with served(tmp_path / "socket", ROWS, rooms=room.rooms), client(tmp_path / "socket") as http:
        responses = [await http.get(PATH) for _ in range(3)]
        async with http.get(PATH) as one_more:
            assert one_more.status == 503
            assert "3 readers of yours" in (await one_more.json())["reason"]
        for response in responses:
            response.close()
        await wait_for(lambda: not len(room.streams))


async def test_a_reader_that_does_not_read_is_dropped_and_the_others_are_told(
    http: aiohttp.ClientSession, room: Room, tmp_path: Path
) -> None:
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "socket"), limit=1024)
    writer.write(ASK)
    async with http.get(PATH) as response:
        stream = events(response)
        await next_of(stream)
        await wait_for(lambda: len(room.streams) == 2)
        pid = 1000
        async with asyncio.timeout(30):
            while len(room.streams) == 2:
                room.change(pid := pid + 1)
                assert (await next_of(stream)).data["pid"] == pid
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(5):
            while await reader.read(65536):
                continue
    writer.close()


async def test_a_reader_that_vanishes_is_forgotten_at_once(
    http: aiohttp.ClientSession, room: Room, tmp_path: Path
) -> None:
    _, writer = await asyncio.open_unix_connection(str(tmp_path / "socket"))
    writer.write(ASK)
    await wait_for(lambda: len(room.streams) == 1)
    writer.transport.abort()
    await wait_for(lambda: not len(room.streams))


async def test_silence_is_filled_with_comments(tmp_path: Path, room: Room) -> None:
    reader = room.changes.reader()
    chunks = told(reader.take, reader.wake, lambda _: b"x", keep_alive=0.01)
    assert [await anext(chunks) for _ in range(3)] == [b"retry: 1000\n\n", b"x", b": still here\n\n"]
    await chunks.aclose()


async def test_head_has_no_body_and_ends(http: aiohttp.ClientSession, room: Room) -> None:
    async with http.head(PATH) as response:
        assert response.status == 200
        assert await response.read() == b""
    await wait_for(lambda: not len(room.streams))


async def test_a_stop_ends_streams_at_once_and_says_so_and_the_next_agent_has_the_table(
    tmp_path: Path, room: Room
) -> None:
    place = tmp_path / "socket"
    async with client(place) as http:
        async with served(place, ROWS, rooms=room.rooms, drain=0.2) as api:
            response = await http.get(PATH)
            stream = events(response)
            await next_of(stream)
            api.stop()
            assert [(last.name, last.data) for last in await rest_of(stream)] == [
                ("end", {"reason": "this agent is stopping"})
            ]
            async with http.get(PATH) as refused:
                assert (refused.status, (await refused.json())["code"]) == (503, "stopping")
        place.unlink()
        async with served(place, ROWS, rooms={**room.rooms, "streams": Streams()}), http.get(PATH) as again:
            assert (await next_of(events(again))).names == ["clusterware-a"]


async def test_a_stop_is_not_held_up_by_readers(tmp_path: Path, room: Room) -> None:
    place = tmp_path / "socket"
    async with client(place) as http:
        async with served(place, ROWS, rooms=room.rooms):
            streams = [events(await http.get(PATH)) for _ in range(5)]
            for stream in streams:
                await next_of(stream)
        for stream in streams:
            assert [last.name for last in await rest_of(stream)] == ["end"]

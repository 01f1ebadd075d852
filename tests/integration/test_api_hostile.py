"""The whole agent, as it is composed, under bad input: never a 500, never a hang, never a word too much."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Iterator, Sequence

import msgspec
import pytest

from agent.api.call import BODY_TIMEOUT, Route
from agent.api.routes import ROUTES
from tests.support.hostile import RAW, UID, exchange, faults, request, requests, sound, taken_apart
from tests.support.lone_agent import Agent, lone_agent

IN_JSON = [route for route in ROUTES if {"application/json"}.issuperset(route.answers.media)]
"""Those that answer no text and go on for no time."""

PARALLEL = 8
"""Connections at a time."""


@pytest.fixture(scope="module")
def agent() -> Iterator[Agent]:
    """The agent that all of this is sent to."""
    with lone_agent() as made:
        yield made


def fields(route: Route) -> Sequence[str]:
    """The fields of the body that a route takes, where its shape says them."""
    if route.body is None or not issubclass(route.body, msgspec.Struct):
        return ()
    return [info.encode_name for info in msgspec.structs.fields(route.body)]


async def storm(agent: Agent, data: Sequence[bytes]) -> list[str]:
    """Send everything, a few at a time; what was wrong with the answers."""
    found: list[str] = []
    pending = iter(data)

    async def sender() -> None:
        for sent in pending:
            try:
                reply = await exchange(agent.socket, sent)
            except Exception as err:  # noqa: BLE001 - whatever it is, the test names the request that it happened to
                found.append(f"{err!r}: {sent[:150]!r}")
            else:
                found.extend(faults(sent, reply, [str(agent.place)]))

    async with asyncio.TaskGroup() as group:
        for _ in range(PARALLEL):
            group.create_task(sender())
    return found


@pytest.mark.parametrize("route", IN_JSON, ids=lambda route: f"{route.method} {route.path}")
async def test_every_route_answers_bad_input_in_the_envelope(agent: Agent, route: Route) -> None:
    plural = route.path.replace("/{uid}", "s")
    for creating in ROUTES:
        if "{uid}" in route.path and (creating.method, creating.path) == ("POST", plural):
            body = msgspec.json.encode({**sound(fields(creating)), "uid": UID})
            assert (await exchange(agent.socket, request("POST", plural, (), body))).status in (201, 409)
    found = await storm(agent, list(requests(route, fields(route))))
    assert not found, "\n".join(found[:10])


async def test_what_is_hardly_http_is_answered_in_the_envelope(agent: Agent) -> None:
    found = await storm(agent, RAW)
    assert not found, "\n".join(found)


async def test_senders_that_never_finish_keep_nobody_waiting(agent: Agent) -> None:
    whole = request("POST", "/database/clean", [("Content-Type", "application/json")], b"{}" * 1000)
    writers = []
    for cut in (1, 20, len(whole) - 1500, len(whole) - 1) * 50:
        _, writer = await asyncio.open_unix_connection(str(agent.socket))
        writer.write(whole[:cut])
        await writer.drain()
        writers.append(writer)
    try:
        async with asyncio.timeout(BODY_TIMEOUT / 2):  # well before it gives any of them up
            reply = await exchange(agent.socket, request("GET", "/healthz"))
        assert reply.status == 200
    finally:
        for writer in writers:
            writer.close()


async def test_clients_that_vanish_in_the_middle_leave_no_trace(agent: Agent) -> None:
    for data in (request("POST", "/database/clean", (), b"{}")[:-1], request("GET", "/openapi.json"), b"G"):
        for _ in range(20):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(str(agent.socket))
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.sendall(data)
    assert (await exchange(agent.socket, request("GET", "/healthz"))).status == 200


def test_strangers_on_the_tls_port_learn_nothing_and_leave_no_trace(agent: Agent) -> None:
    for data in RAW:
        with socket.create_connection(("127.0.0.1", agent.port), 30) as plain:
            plain.sendall(data[:1000])
            with contextlib.suppress(ConnectionError):
                assert not plain.recv(65536).startswith(b"HTTP"), data[:50]
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for path in ("/healthz", "/database/clean", "/head/services", "/database/backups"):
        for _ in range(20):  # gone before the agent has looked at who it is
            with socket.create_connection(("127.0.0.1", agent.port), 30) as plain, context.wrap_socket(plain) as tls:
                tls.sendall(request("GET", path))
                tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with socket.create_connection(("127.0.0.1", agent.port), 30) as plain, context.wrap_socket(plain) as tls:
            tls.sendall(request("GET", path))
            reply = taken_apart(b"".join(iter(lambda: tls.recv(65536), b"")))
            assert reply.status == (200 if path == "/healthz" else 401 if "clean" in path else 403)


async def test_after_all_that_it_is_alive_small_and_met_no_bug(agent: Agent) -> None:
    for _ in range(3):
        assert not await storm(agent, [request("GET", "/openapi.json")] * 100)
    assert (await exchange(agent.socket, request("GET", "/healthz"))).status == 200
    assert agent.memory() < 150 * 2**20
    assert agent.process.poll() is None
    for sign in ("Traceback", "met a bug", "never retrieved", "never awaited"):
        assert sign not in agent.log, agent.log[max(0, agent.log.index(sign) - 2000) :][:6000]

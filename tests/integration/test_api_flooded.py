"""The whole agent while strangers hold as many connections as they can: it stays small, and answers who is known."""

from __future__ import annotations

import contextlib
import json
import resource
import select
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.api.call import BODIES
from agent.api.connections import LARGEST, SLOW
from agent.api.crowd import EACH, MOST
from tests.support.company import eventually, running
from tests.support.hostile import exchange, request, taken_apart
from tests.support.lone_agent import Agent, lone_agent

FLOOD = 10_000
"""Connections that the attackers try to hold."""
TLS, GREEDY = 150, 50
"""Such of them as begin TLS; and as ask for much and read nothing."""


_CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_CONTEXT.check_hostname, _CONTEXT.verify_mode = False, ssl.CERT_NONE


@pytest.fixture(scope="module")
def agent() -> Iterator[Agent]:
    """The agent that is flooded. Both ends may open what the unit allows it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(16384, hard), hard))
    try:
        with lone_agent() as made:
            yield made
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.contextmanager
def held() -> Iterator[list[socket.socket]]:
    """Sockets that are put in here, open for as long as the attack lasts."""
    sockets: list[socket.socket] = []
    try:
        yield sockets
    finally:
        for sock in sockets:
            sock.close()


def connected(host: str, port: int, number: int) -> socket.socket:
    """A connection from one of many addresses."""
    return socket.create_connection((host, port), 20, (f"127.0.{1 + number % 50}.1", 0))


def shaken(plain: socket.socket) -> ssl.SSLSocket:
    """That connection with TLS on it."""
    return _CONTEXT.wrap_socket(plain)


def greedy(agent: Agent, source: str) -> ssl.SSLSocket:
    """A connection that takes hardly anything of what it asks for."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.bind((source, 0))
    plain.connect(("127.0.0.1", agent.port))
    return shaken(plain)


def padded(size: int) -> bytes:
    """A request whose header has so many bytes, and a little more."""
    lines = [b"GET /healthz HTTP/1.1", b"Host: x", *(b"X-%d: %s" % (n, b"y" * 4000) for n in range(size // 4000))]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def many_more(agent: Agent, sockets: list[socket.socket], source: str) -> None:
    """As many connections from one address as it may have."""
    for _ in range(EACH):
        sockets.append(socket.create_connection(("127.0.0.1", agent.port), 20, (source, 0)))


def is_over(sock: socket.socket) -> bool:
    """Whether the agent has closed a connection."""
    poll = select.poll()
    poll.register(sock, select.POLLRDHUP)
    return bool(poll.poll(5000))


def open_connections(agent: Agent) -> int:
    """The sockets that the agent has open."""
    return sum(link.startswith("socket:") for link in agent.descriptors())


async def answers(agent: Agent) -> bool:
    """Whether operators, and strangers who only now come, are answered."""
    local = await exchange(agent.socket, request("GET", "/healthz"))
    with socket.create_connection(("127.0.0.1", agent.port), 20) as plain, shaken(plain) as tls:
        tls.sendall(request("GET", "/healthz"))
        far = taken_apart(b"".join(iter(lambda: tls.recv(65536), b"")))
    return (local.status, far.status) == (200, 200)


async def test_ten_thousand_silent_connections_are_outlived(agent: Agent) -> None:
    before = agent.memory()
    with held() as sockets:
        for number in range(FLOOD):
            sockets.append(connected("127.0.0.1", agent.port, number))
            if number % 2500 == 2499:
                assert await answers(agent)
                assert open_connections(agent) < MOST + 100
        assert agent.memory() - before < 200 * 2**20


async def test_idle_ones_with_tls_cost_little_and_are_the_first_to_go(agent: Agent) -> None:
    before = agent.memory()
    with held() as sockets:
        for number in range(TLS):
            tls = shaken(socket.create_connection(("127.0.0.1", agent.port), 20, ("127.0.9.9", 0)))
            sockets.append(tls)
            if number % 2:  # one that has had an answer to what anybody may ask is still a stranger
                tls.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                assert tls.recv(65536).startswith(b"HTTP/1.1 200")
        assert agent.memory() - before < (10 + TLS * 0.06) * 2**20
        assert await answers(agent)
        many_more(agent, sockets, "127.0.9.9")
        assert await answers(agent)
        assert all(is_over(tls) for tls in sockets[:TLS])


async def test_those_who_ask_and_never_read_are_no_better_off(agent: Agent) -> None:
    asking = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 64
    with held() as sockets:
        for _ in range(GREEDY):
            sockets.append(tls := greedy(agent, "127.0.8.8"))
            tls.sendall(asking)
        many_more(agent, sockets, "127.0.8.8")
        assert await answers(agent)
        assert open_connections(agent) < EACH + 100


async def test_of_those_who_never_read_only_some_may_stay(agent: Agent) -> None:
    before, connections = agent.memory(), open_connections(agent)
    with held() as sockets:
        for _ in range(SLOW + GREEDY):
            sockets.append(tls := greedy(agent, "127.0.6.6"))
            tls.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 30)
        assert open_connections(agent) - connections < SLOW + GREEDY // 2
        assert agent.memory() - before < (10 + SLOW * 0.7) * 2**20
        assert await answers(agent)


@pytest.mark.parametrize("size", [LARGEST - 4000, 100 * 4000])
async def test_requests_that_cannot_be_answered_yet_are_not_read_either(agent: Agent, size: int) -> None:
    before = agent.memory()
    with held() as sockets:
        for _ in range(10):
            sockets.append(tls := greedy(agent, "127.0.5.5"))
            tls.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 5)
            tls.settimeout(0.5)
            with contextlib.suppress(OSError):
                tls.sendall(padded(size) * 64)
        assert agent.memory() - before < (5 + 1.3 * len(sockets)) * 2**20
        assert await answers(agent)


async def test_a_header_may_be_long_and_not_longer(agent: Agent) -> None:
    async def status(sent: bytes) -> int:
        return (await exchange(agent.socket, sent)).status

    assert await status(padded(LARGEST - 4000)[:-2] + b"Connection: close\r\n\r\n") == 200
    with socket.create_connection(("127.0.0.1", agent.port), 20) as plain, shaken(plain) as tls:
        tls.sendall(padded(2 * LARGEST)[: LARGEST + 20_000])
        refusal = taken_apart(b"".join(iter(lambda: tls.recv(65536), b"")))
    assert refusal.status == 400
    assert b"32768" in refusal.body


async def test_the_holder_of_a_token_cannot_have_any_number_of_bodies_awaited(agent: Agent) -> None:
    asked = json.dumps({"permissions": ["ImagesWrite"], "lifespan": "1h"}).encode()
    token = json.loads((await exchange(agent.socket, request("POST", "/head/token", (), asked))).body)["data"]["token"]
    beginning = request("POST", "/images", [("Authorization", f"Bearer {token}")], b" " * 2**20)[: -(2**20)]
    with held() as sockets:
        for _ in range(BODIES // 2**20 + 1):
            plain = socket.create_connection(("127.0.0.1", agent.port), 20, ("127.0.4.4", 0))
            sockets.append(tls := shaken(plain))
            tls.sendall(beginning)
        refusal = taken_apart(b"".join(iter(lambda: tls.recv(65536), b"")))
        assert (refusal.status, json.loads(refusal.body)["code"]) == (503, "crowded")
        created = await exchange(agent.socket, request("POST", "/images", (), b'{"name": "by an operator"}'))
        assert created.status == 201


async def test_a_user_of_the_unix_socket_cannot_use_it_up(agent: Agent) -> None:
    with held() as sockets:
        for _ in range(2 * EACH):
            sockets.append(sock := socket.socket(socket.AF_UNIX))
            sock.connect(str(agent.socket))
            with contextlib.suppress(ConnectionError):
                sock.sendall(b"GET /healthz HTT")
        assert await answers(agent)
        assert open_connections(agent) < EACH + 100


async def test_heads_hear_each_other_whoever_else_connects(tmp_path: Path) -> None:
    with running(tmp_path, 2) as (first, second), held() as sockets:
        assert (await second.join(first))[0] == 200
        await eventually(first.heads, lambda heads: heads[second.uid]["state"] == "up")
        since = (await first.heads())[second.uid]["since"]
        for number in range(2 * MOST):
            host, _, port = first.url.removeprefix("https://").rpartition(":")
            sockets.append(connected(host, int(port), number))

        assert (await first.heads())[second.uid]["since"] == since  # it was heard throughout
        second.ended()
        await eventually(first.heads, lambda heads: heads[second.uid]["state"] == "down")
        with second.running():  # and finds its way in through the crowd
            await eventually(first.heads, lambda heads: heads[second.uid]["state"] == "up")


async def test_the_agent_met_no_bug_meanwhile(agent: Agent) -> None:
    assert agent.process.poll() is None
    for sign in ("Traceback", "met a bug", "never retrieved", "cannot be taken"):
        assert sign not in agent.log, agent.log[max(0, agent.log.index(sign) - 2000) :][:6000]

"""What stands between an agent and etcd in tests: passes everything on, and misbehaves when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web


@dataclass
class Relay:
    """Relays to the etcd at `target`. `lose` and `hold`: what to do with the next transactions."""

    target: str
    url: str = ""
    version: str | None = None
    """What to answer to GET /version instead of etcd's own."""
    lose: int = 0
    """So many transactions are done, and their answers never sent."""
    hold: int = 0
    """So many transactions are not passed on before `release` is set, however long the client waits."""
    full: set[int] = field(default_factory=set)
    """Those transactions, by what `passed` is then, are done, and refused: so does etcd with the one that fills it."""
    closed: bool = False
    """Transactions are refused as by an etcd that is full, and not passed on."""
    most: int = 2**40
    """Bytes of an answer: a larger one does not come as long as the client waits."""
    release: asyncio.Event = field(default_factory=asyncio.Event)
    passed: int = 0
    """How many transactions reached etcd."""
    late: list[asyncio.Task[bytes]] = field(default_factory=list)
    """Those that were held."""
    mute: bool = False
    """Watches are accepted, and nothing that happens is told to them."""
    watches: int = 0
    """How many watches were begun."""
    streams: set[asyncio.Event] = field(default_factory=set)

    def cut(self) -> None:
        """End every watch."""
        for stream in self.streams:
            stream.set()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Any request."""
        body = await request.read()
        if request.path == "/version" and self.version:
            return web.json_response({"etcdserver": self.version})
        if request.path == "/v3/kv/txn":
            return await self._txn(body)
        if request.path == "/v3/watch":
            return await self._watch(request, body)
        async with self.session.request(request.method, self.target + request.path, data=body) as answer:
            content = await answer.read()
            if len(content) > self.most:
                await asyncio.Event().wait()
            return web.Response(body=content, status=answer.status, content_type=answer.content_type)

    async def _txn(self, body: bytes) -> web.Response:
        if self.hold:
            self.hold -= 1
            self.late.append(asyncio.create_task(self._late(body)))
            await asyncio.Event().wait()
        if self.closed:
            return _no_space()
        content = await self._pass(body)
        if self.lose:
            self.lose -= 1
            await asyncio.Event().wait()
        if self.passed in self.full:
            return _no_space()
        return web.Response(body=content, content_type="application/json")

    async def _late(self, body: bytes) -> bytes:
        await self.release.wait()
        return await self._pass(body)

    async def _pass(self, body: bytes) -> bytes:
        async with self.session.post(f"{self.target}/v3/kv/txn", data=body) as answer:
            self.passed += 1
            return await answer.read()

    async def _watch(self, request: web.Request, body: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        async with self.session.post(f"{self.target}/v3/watch", data=body) as answer:
            self.watches += 1
            await response.prepare(request)
            ended = asyncio.Event()
            self.streams.add(ended)
            passing = asyncio.create_task(self._pour(answer, response))
            waiting = asyncio.create_task(ended.wait())
            try:
                await asyncio.wait((passing, waiting), return_when=asyncio.FIRST_COMPLETED)
            finally:
                self.streams.discard(ended)
                passing.cancel()
                waiting.cancel()
        return response

    async def _pour(self, answer: aiohttp.ClientResponse, response: web.StreamResponse) -> None:
        with contextlib.suppress(ConnectionError, aiohttp.ClientError):
            async for chunk in answer.content.iter_any():
                if not self.mute:
                    await response.write(chunk)

    def __post_init__(self) -> None:
        self.session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout())


def _no_space() -> web.Response:
    """etcd 3.4's answer when its quota is reached."""
    return web.json_response({"error": "etcdserver: mvcc: database space exceeded", "code": 8}, status=429)


@contextlib.asynccontextmanager
async def relaying(target: str) -> AsyncIterator[Relay]:
    """A relay that answers on a loopback port until the end."""
    relay = Relay(target)
    app = web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{path:.*}", relay.answer)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        relay.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield relay
    finally:
        for task in relay.late:
            task.cancel()
        await runner.cleanup()
        await relay.session.close()

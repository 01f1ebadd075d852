"""A steady load on the agent from another machine, run as a program there; says how each request ended.

SIGTERM ends it before its time; what was asked is still waited for.

python -m tests.support.heads.load https://10.77.0.11:52390/api/v1/head/peerurl --seconds 5 --rate 100
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import json
import signal
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace

import aiohttp


@dataclass(slots=True)
class _Load:
    """What is asked, and what came of it; the next of `sessions` is tried where a connection is closed unanswered."""

    sessions: Sequence[aiohttp.ClientSession]
    url: str
    ends: collections.Counter[str] = field(default_factory=collections.Counter)
    waits: list[float] = field(default_factory=list)

    async def ask(self) -> None:
        """Ask once, and count how it ended."""
        started = time.monotonic()
        connections: list[str] = []
        try:
            self.ends[await self._answer(connections)] += 1
        except (aiohttp.ClientError, OSError, TimeoutError) as err:
            self.ends[f"{type(err).__name__}: {err} ({', '.join(connections)})"] += 1
        self.waits.append(time.monotonic() - started)

    async def _answer(self, connections: list[str]) -> str:
        for session in self.sessions:
            try:
                async with session.get(self.url, trace_request_ctx=connections) as response:
                    await response.read()
                    return str(response.status)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                if session is self.sessions[-1]:
                    raise
        raise AssertionError


def _telling() -> aiohttp.TraceConfig:
    """Notes which connections a request was sent on."""

    async def made(_: object, context: SimpleNamespace, __: object) -> None:
        context.trace_request_ctx.append("on a new connection")

    async def kept(_: object, context: SimpleNamespace, __: object) -> None:
        context.trace_request_ctx.append("on a kept connection")

    tracing = aiohttp.TraceConfig()
    tracing.on_connection_create_end.append(made)
    tracing.on_connection_reuseconn.append(kept)
    return tracing


async def load(url: str, seconds: float, rate: float, *, keep: bool, again: bool) -> dict[str, object]:
    """Ask `rate` times a second, whether or not answers come, each time on a connection of its own unless `keep`."""
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)

    def session(*, force_close: bool) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(ssl=tls, limit=200, force_close=force_close)
        timeout = aiohttp.ClientTimeout(total=60)
        made = aiohttp.ClientSession(connector=connector, timeout=timeout, trace_configs=[_telling()])
        made._retry_connection = False  # it would ask again by itself, and hide what broke
        return made

    async with (
        session(force_close=not keep) as first,
        session(force_close=True) as second,
        asyncio.TaskGroup() as asking,
    ):
        asked = _Load([first, second] if again else [first], url)
        started = time.monotonic()
        for number in range(int(seconds * rate)):
            await asyncio.sleep(max(0.0, started + number / rate - time.monotonic()))
            if ended.is_set():
                break
            asking.create_task(asked.ask())
    return {"ends": asked.ends, "asked": len(asked.waits), "longest": round(max(asked.waits), 3)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rate", type=float, default=100)
    parser.add_argument("--keep", action="store_true", help="keep connections open")
    parser.add_argument("--again", action="store_true", help="ask again once where a connection is closed unanswered")
    given = parser.parse_args()
    print(json.dumps(asyncio.run(load(given.url, given.seconds, given.rate, keep=given.keep, again=given.again))))

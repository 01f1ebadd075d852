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
from types import SimpleNamespace

import aiohttp


async def _ask(session: aiohttp.ClientSession, url: str, ends: collections.Counter[str], waits: list[float]) -> None:
    started = time.monotonic()
    connection: list[str] = []
    try:
        async with session.get(url, trace_request_ctx=connection) as response:
            await response.read()
            ends[str(response.status)] += 1
    except (aiohttp.ClientError, OSError, TimeoutError) as err:
        ends[f"{type(err).__name__}: {err} ({', '.join(connection)})"] += 1
    waits.append(time.monotonic() - started)


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


async def load(url: str, seconds: float, rate: float, *, keep: bool) -> dict[str, object]:
    """Ask `rate` times a second, whether or not answers come, each time on a connection of its own unless `keep`."""
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    connector = aiohttp.TCPConnector(ssl=tls, limit=200, force_close=not keep)
    ends: collections.Counter[str] = collections.Counter()
    waits: list[float] = []
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    timeout = aiohttp.ClientTimeout(total=20)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout, trace_configs=[_telling()]) as session,
        asyncio.TaskGroup() as asking,
    ):
        session._retry_connection = False  # it would ask again by itself, and hide what broke
        started = time.monotonic()
        for number in range(int(seconds * rate)):
            await asyncio.sleep(max(0.0, started + number / rate - time.monotonic()))
            if ended.is_set():
                break
            asking.create_task(_ask(session, url, ends, waits))
    return {"ends": ends, "asked": len(waits), "longest": round(max(waits), 3)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rate", type=float, default=100)
    parser.add_argument("--keep", action="store_true", help="keep connections open")
    given = parser.parse_args()
    print(json.dumps(asyncio.run(load(given.url, given.seconds, given.rate, keep=given.keep))))

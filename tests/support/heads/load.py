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

import aiohttp


async def _ask(
    session: aiohttp.ClientSession,
    anew: aiohttp.ClientSession,
    url: str,
    ends: collections.Counter[str],
    waits: list[float],
) -> None:
    """Ask once; on a kept connection that was closed just then, once more on a new one, as RFC 9112 (9.3.1) has it."""
    started = time.monotonic()
    try:
        try:
            status = await _status(session, url)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            if session is anew:
                raise
            status = await _status(anew, url)
        ends[status] += 1
    except (aiohttp.ClientError, OSError, TimeoutError) as err:
        ends[f"{type(err).__name__}: {err}"] += 1
    waits.append(time.monotonic() - started)


async def _status(session: aiohttp.ClientSession, url: str) -> str:
    async with session.get(url) as response:
        await response.read()
        return str(response.status)


async def load(url: str, seconds: float, rate: float, *, keep: bool) -> dict[str, object]:
    """Ask `rate` times a second, whether or not answers come, each time on a connection of its own unless `keep`."""
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    ends: collections.Counter[str] = collections.Counter()
    waits: list[float] = []
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)

    def session(*, force_close: bool) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(ssl=tls, limit=200, force_close=force_close)
        return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=20))

    async with session(force_close=True) as anew, session(force_close=False) as kept, asyncio.TaskGroup() as asking:
        started = time.monotonic()
        for number in range(int(seconds * rate)):
            await asyncio.sleep(max(0.0, started + number / rate - time.monotonic()))
            if ended.is_set():
                break
            asking.create_task(_ask(kept if keep else anew, anew, url, ends, waits))
    return {"ends": ends, "asked": len(waits), "longest": round(max(waits), 3)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rate", type=float, default=100)
    parser.add_argument("--keep", action="store_true", help="keep connections open")
    given = parser.parse_args()
    print(json.dumps(asyncio.run(load(given.url, given.seconds, given.rate, keep=given.keep))))

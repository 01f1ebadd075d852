"""Work that goes on and on: periodic, with the stamps that watchdog and health read; and none that ends in silence."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, NoReturn, ParamSpec

import structlog

from agent.errors import AgentError

log = structlog.get_logger()

P = ParamSpec("P")


@dataclass(slots=True)
class Loop:
    """One loop. It *turns* whenever a pass ends, also in a handled failure; it *succeeds* when none failed.

    `interval` and `limit` are seconds: after `limit` without a turn the process is not alive any more.
    """

    name: str
    interval: float
    limit: float
    turned: float
    succeeded: float | None = None
    failure: str | None = None
    failures: int = 0
    overruns: int = 0

    def turn(self, now: float, failure: str | None = None) -> None:
        """Note the end of a pass at monotonic second `now`."""
        self.turned = now
        self.failure = failure
        if failure is None:
            self.succeeded = now
        else:
            self.failures += 1

    def pace(self, interval: float) -> None:
        """Have it turn every so many seconds from now on."""
        self.interval, self.limit = interval, _limit(interval)

    def stuck(self, now: float) -> bool:
        """Whether the loop has not turned for longer than its limit."""
        return now - self.turned > self.limit


@dataclass(slots=True)
class Loops:
    """All loops of the process, for the watchdog and GET /healthz."""

    all: list[Loop] = field(default_factory=list)

    def add(self, name: str, interval: float, limit: float | None = None) -> Loop:
        """Register a loop; `limit` defaults to three intervals and at least 30 s."""
        loop = Loop(name, interval, limit if limit is not None else _limit(interval), time.monotonic())
        self.all.append(loop)
        return loop

    def stuck(self, now: float) -> list[str]:
        """The names of the loops that no longer turn."""
        return [loop.name for loop in self.all if loop.stuck(now)]


def _limit(interval: float) -> float:
    return max(30.0, 3 * interval)


async def periodic(
    loop: Loop,
    work: Callable[[], Awaitable[object]],
    *,
    wake: asyncio.Event | None = None,
) -> None:
    """Do `work` every `loop.interval` seconds, a tenth jittered, or at once when `wake` is set; for ever.

    An AgentError is a handled failure: warned about when it begins, noted when it ends. Anything else is
    a bug and ends the process.
    """
    now = asyncio.get_running_loop().time
    while True:
        started = now()
        failure: str | None = None
        try:
            await work()
        except AgentError as err:
            failure = err.reason
        if failure is not None and failure != loop.failure:
            log.warning("Periodic work failed", loop=loop.name, reason=failure)
        elif failure is None and loop.failure is not None:
            log.info("Periodic work recovered", loop=loop.name)
        loop.turn(now(), failure)
        took = now() - started
        if took > loop.interval:
            loop.overruns += 1
            log.warning("Periodic work overran its interval", loop=loop.name, took=round(took, 3))
        pause = max(0.0, loop.interval * random.uniform(0.9, 1.1) - took)
        if wake is None:
            await asyncio.sleep(pause)
            continue
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await wake.wait()
        wake.clear()


async def lasting(work: Callable[P, Coroutine[Any, Any, object]], *args: P.args, **kwargs: P.kwargs) -> NoReturn:
    """As a task: `work` that goes on until the task is cancelled. That it ends sooner is a bug: raises RuntimeError.

    A TaskGroup does not mind, nor tell, when a task of its own returns, or ends as if it had been cancelled.
    """
    # In a task of its own: only so is it known which cancellation came from outside.
    coroutine = work(*args, **kwargs)
    name = getattr(coroutine, "__qualname__", "work")
    task, stopped = asyncio.create_task(coroutine), False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            stopped = True
            task.cancel()
    try:
        task.result()
    except asyncio.CancelledError as err:
        if not stopped:
            raise RuntimeError(f"{name} ended as if cancelled, though nobody stopped it") from err
        raise
    if not stopped:
        raise RuntimeError(f"{name} ended, though nobody stopped it")
    raise asyncio.CancelledError

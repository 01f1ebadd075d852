"""Work that goes on and on: what counts as a turn, what as a success, and what ends the process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from agent.errors import Unavailable
from agent.loops import Loop, Loops, lasting, periodic


async def run_until(work: object, loop: Loop, done: asyncio.Event, **options: object) -> None:
    """Run the loop until `done` is set, then cancel it."""
    task = asyncio.ensure_future(periodic(loop, work, **options))  # type: ignore[arg-type]
    try:
        async with asyncio.timeout(5):
            waiter = asyncio.ensure_future(done.wait())
            await asyncio.wait({task, waiter}, return_when=asyncio.FIRST_COMPLETED)
            waiter.cancel()
            if task.done():
                await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_handled_failure_is_a_turn_and_not_a_success() -> None:
    loop, done = Loops().add("scan", 0.001), asyncio.Event()

    async def work() -> None:
        done.set()
        raise Unavailable("the bus is away")

    before = loop.turned
    await run_until(work, loop, done)
    assert loop.turned > before
    assert (loop.succeeded, loop.failure) == (None, "the bus is away")


async def test_recovery_clears_the_failure() -> None:
    loop, done = Loops().add("scan", 0.001), asyncio.Event()
    results = iter([Unavailable("away"), None, None])

    async def work() -> None:
        result = next(results, None)
        if result is not None:
            raise result
        if loop.succeeded is not None:
            done.set()

    await run_until(work, loop, done)
    assert loop.failure is None
    assert loop.succeeded is not None


async def test_bug_ends_the_loop() -> None:
    async def work() -> None:
        raise RuntimeError("bug")

    with pytest.raises(RuntimeError, match="bug"):
        await run_until(work, Loops().add("scan", 0.001), asyncio.Event())


async def test_wake_starts_the_next_pass_at_once() -> None:
    loop, done, wake = Loops().add("scan", 3600.0), asyncio.Event(), asyncio.Event()
    passes = 0

    async def work() -> None:
        nonlocal passes
        passes += 1
        if passes == 1:
            wake.set()
        else:
            done.set()

    await run_until(work, loop, done, wake=wake)
    assert passes == 2
    assert not wake.is_set()


def test_loop_is_stuck_after_its_limit_without_a_turn() -> None:
    loops = Loops()
    slow, quick = loops.add("slow", 3600.0), loops.add("quick", 1.0)
    assert (slow.limit, quick.limit) == (10800.0, 30.0)
    assert loops.stuck(quick.turned + 30.0) == []
    assert loops.stuck(quick.turned + 31.0) == ["quick"]
    quick.turn(quick.turned + 31.0, "failed, but turned")
    assert loops.stuck(quick.turned + 1.0) == []


async def as_if_cancelled() -> None:
    """Ends as a task does whose count of cancellations is stale."""
    await asyncio.sleep(0)
    raise asyncio.CancelledError


async def at_once() -> None:
    """Ends of itself."""


@pytest.mark.parametrize("work", [as_if_cancelled, at_once])
async def test_lasting_work_that_ends_though_nobody_stopped_it_ends_its_group(
    work: Callable[[], Coroutine[Any, Any, None]],
) -> None:
    async def together() -> None:
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            group.create_task(lasting(work))
            group.create_task(asyncio.Event().wait())

    with pytest.raises(ExceptionGroup) as caught:
        await together()
    (err,) = caught.value.exceptions
    assert isinstance(err, RuntimeError)
    assert str(err).startswith(f"{work.__name__} ended")


async def test_lasting_work_has_ended_when_its_task_has_been_cancelled_however_often() -> None:
    begun, ending, may_end, said = asyncio.Event(), asyncio.Event(), asyncio.Event(), list[str]()

    async def work(word: str) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ending.set()
            try:
                await may_end.wait()
            finally:
                said.append(word)

    task = asyncio.create_task(lasting(work, "bye"))
    await begun.wait()
    task.cancel()
    await ending.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert said == ["bye"]


async def test_lasting_work_tells_its_own_bugs_also_those_of_its_end() -> None:
    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise LookupError("bug")

    task = asyncio.create_task(lasting(work))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(LookupError):
        await task

"""Alive is: the loops turn. Ready is: what it depends on can be used. Strangers learn names, not reasons."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web

from agent.api import health
from agent.api.call import Call, Caller
from agent.api.rooms import Rooms
from agent.errors import Unavailable
from agent.loops import Loops
from agent.ports import Dependency


def call(loops: Loops, *dependencies: Dependency, local: bool = False) -> Call:
    rooms = cast("Rooms", SimpleNamespace(loops=loops, dependencies=dependencies))
    caller = Caller(local=local, address="192.0.2.1")
    return Call(cast("web.BaseRequest", None), rooms, caller, "r", {}, lambda: caller)


def saying(problem: str | None) -> Callable[[], Awaitable[str | None]]:
    async def answer() -> str | None:
        return problem

    return answer


async def failing() -> str | None:
    raise Unavailable("the bus is away")


async def hanging() -> str | None:
    await asyncio.Event().wait()
    return None


def loops(*, ago: float) -> Loops:
    """One loop that last turned `ago` seconds before now; it may take 30."""
    made = Loops()
    made.add("files-trash", 5.0, 30.0).turn(asyncio.get_running_loop().time() - ago)
    return made


async def test_process_whose_loops_turn_is_alive() -> None:
    assert (await health.healthz(call(loops(ago=29)))).data == {"loops": ["files-trash"]}


async def test_loop_that_no_longer_turns_is_named() -> None:
    with pytest.raises(Unavailable) as refused:
        await health.healthz(call(loops(ago=31)))
    assert (refused.value.code, refused.value.data) == ("stuck", {"stuck": ["files-trash"]})


async def test_ready_is_a_line_for_each_dependency() -> None:
    answer = await health.readyz(call(Loops(), Dependency("dbus", saying(None)), Dependency("files", saying(None))))
    assert answer.data == [{"name": "dbus", "ready": True}, {"name": "files", "ready": True}]


@pytest.mark.parametrize("bad", [saying("/var/lib/secret is damaged"), failing])
async def test_one_that_is_away_is_named_and_strangers_learn_no_more(bad: Callable[[], Awaitable[str | None]]) -> None:
    dependencies = (Dependency("dbus", saying(None)), Dependency("database", bad))
    with pytest.raises(Unavailable) as refused:
        await health.readyz(call(Loops(), *dependencies))
    assert "database" in refused.value.reason
    assert refused.value.data == [{"name": "dbus", "ready": True}, {"name": "database", "ready": False}]


async def test_on_the_local_socket_the_problem_is_told() -> None:
    with pytest.raises(Unavailable) as refused:
        await health.readyz(call(Loops(), Dependency("dbus", failing), local=True))
    assert refused.value.data == [{"name": "dbus", "ready": False, "problem": "the bus is away"}]


async def test_dependency_that_does_not_answer_is_a_problem_too() -> None:
    with pytest.raises(Unavailable) as refused:
        await health.readyz(call(Loops(), Dependency("files", hanging), local=True))
    assert "has not answered within" in cast("list[dict[str, Any]]", refused.value.data)[0]["problem"]

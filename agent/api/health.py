"""Whether the agent lives (its loops turn) and whether it can work (its dependencies are usable)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NotRequired, TypedDict

from agent.api.answers import Answers
from agent.api.call import Answer, Call
from agent.errors import AgentError, Unavailable
from agent.ports import Dependency

PATIENCE = 2.0
"""Seconds that a dependency has to say how it is."""


class Turning(TypedDict):
    """The loops that turn."""

    loops: list[str]


class Stuck(TypedDict):
    """Those that do not turn any more."""

    stuck: list[str]


class DependencyLine(TypedDict):
    """Whether one dependency is usable; what is wrong with it is told on the local socket only."""

    name: str
    ready: bool
    problem: NotRequired[str]


LIVE = Answers(data=Turning, fails={Unavailable: ("stuck",)}, partial=Stuck)
READY = Answers(data=list[DependencyLine], fails={Unavailable: ("not-ready",)}, partial=list[DependencyLine])


async def healthz(call: Call) -> Answer:
    """503 when a loop no longer turns: the process is then better restarted."""
    now = asyncio.get_running_loop().time()
    if stuck := call.rooms.loops.stuck(now):
        raise Unavailable(f"no longer turning: {', '.join(stuck)}", code="stuck", data={"stuck": stuck})
    return Answer({"loops": [loop.name for loop in call.rooms.loops.all]})


async def readyz(call: Call) -> Answer:
    """A line for each dependency; 503 when any is not usable. Only the local socket is told what is wrong with it."""
    lines = []
    away = []
    for dependency, problem in await problems(call.rooms.dependencies):
        line: dict[str, object] = {"name": dependency.name, "ready": problem is None}
        if problem is not None:
            away.append(dependency.name)
            if call.caller.local:
                line["problem"] = problem
        lines.append(line)
    if away:
        reason = f"not usable: {', '.join(away)}; the journal, and this path on the local socket, say why"
        raise Unavailable(reason, code="not-ready", data=lines)
    return Answer(lines)


async def problems(dependencies: Sequence[Dependency]) -> list[tuple[Dependency, str | None]]:
    """What is wrong with each, None where nothing is; all are asked at the same time."""
    found = await asyncio.gather(*(_problem(dependency) for dependency in dependencies))
    return list(zip(dependencies, found, strict=True))


async def _problem(dependency: Dependency) -> str | None:
    try:
        async with asyncio.timeout(PATIENCE):
            return await dependency.problem()
    except AgentError as err:
        return err.reason
    except TimeoutError:
        return f"has not answered within {PATIENCE:g} s"

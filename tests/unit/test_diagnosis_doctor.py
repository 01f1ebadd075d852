"""The doctor: all checks at once, none of which can keep the report from being made."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from agent.diagnosis.doctor import Check, Doctor, Looked
from agent.diagnosis.finding import Level, failed, ok
from agent.diagnosis.report import ServicesLine
from agent.errors import AgentError, TimedOut, Unavailable
from tests.support.clock import StillClock

PATIENCE = 0.2
FINE = Looked([ok("a", "this head", "well")], {"services": ServicesLine(1, 2)})


def check(name: str, look: Callable[[], Awaitable[Looked]]) -> Check:
    return Check(name, look)


def giving(looked: Looked) -> Callable[[], Awaitable[Looked]]:
    async def look() -> Looked:
        return looked

    return look


def raising(err: AgentError) -> Callable[[], Awaitable[Looked]]:
    async def look() -> Looked:
        raise err

    return look


async def hanging() -> Looked:
    await asyncio.Event().wait()
    return FINE


def made(*checks: Check, patience: float = PATIENCE) -> Doctor:
    return Doctor(checks, lambda: {"uid": "u", "description": "d", "version": "1"}, StillClock(), patience)


async def test_the_report_has_the_worst_first_and_what_was_told_besides() -> None:
    bad = failed("b", "this head", "not well", "mend it")
    report = await made(check("a", giving(FINE)), check("b", giving(Looked([bad])))).examine(local=True)

    assert report.level is Level.FAILED
    assert [finding.check for finding in report.findings] == ["b", "a"]
    assert report.services == ServicesLine(1, 2)
    assert (report.uid, report.store) == ("u", None)


async def test_what_cannot_be_asked_is_a_finding() -> None:
    checks = check("x", raising(Unavailable("the bus is away"))), check("y", raising(TimedOut("it takes long")))
    report = await made(*checks, check("a", giving(FINE))).examine(local=True)

    assert [(f.check, f.level, f.detail) for f in report.findings[:2]] == [
        ("x", Level.FAILED, "the bus is away"),
        ("y", Level.WARNING, "it takes long"),
    ]
    assert all(finding.todo for finding in report.findings[:2])


async def test_what_hangs_keeps_nothing_else_from_being_told() -> None:
    report = await made(check("x", hanging), check("a", giving(FINE))).examine(local=True)

    assert [finding.check for finding in report.findings] == ["x", "a"]
    assert f"within {PATIENCE:g} s" in report.findings[0].detail


async def test_checks_run_side_by_side() -> None:
    both = asyncio.Barrier(2)

    async def meet() -> Looked:
        await both.wait()
        return FINE

    report = await made(check("a", meet), check("b", meet)).examine(local=True)
    assert report.level is Level.OK


async def test_a_fault_of_ours_is_not_hidden() -> None:
    async def broken() -> Looked:
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup):
        await made(check("a", broken)).examine(local=True)


class Visited:
    """A check that takes as long as the test says, and tells how often it was made."""

    def __init__(self) -> None:
        self.times = 0
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()

    async def look(self) -> Looked:
        self.times += 1
        number = self.times
        self.begun.set()
        await self.may_end.wait()
        return Looked([ok("a", "this head", f"look {number}")])


async def test_a_crowd_shares_a_look_that_begins_after_each_of_them_came() -> None:
    visited = Visited()
    doctor = made(check("a", visited.look), patience=60.0)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(doctor.examine(local=True))
        await visited.begun.wait()
        crowd = [group.create_task(doctor.examine(local=True)) for _ in range(20)]
        await asyncio.sleep(0)
        visited.may_end.set()

    assert first.result().findings[0].detail == "look 1"
    assert {one.result().findings[0].detail for one in crowd} == {"look 2"}
    assert (await doctor.examine(local=True)).findings[0].detail == "look 3"


async def test_who_gives_up_while_it_is_looked_leaves_the_others_a_report() -> None:
    visited = Visited()
    doctor = made(check("a", visited.look), patience=60.0)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(doctor.examine(local=True))
        await visited.begun.wait()
        second = group.create_task(doctor.examine(local=True))
        await asyncio.sleep(0)
        first.cancel()
        visited.may_end.set()

    assert second.result().findings[0].detail == "look 2"


@pytest.mark.parametrize(("local", "told"), [(True, "/etc/x is odd"), (False, "(a path of that head) is odd")])
async def test_paths_are_told_on_the_local_socket_only(local: object, told: str) -> None:
    doctor_of = made(check("a", giving(Looked([failed("a", "this head", "/etc/x is odd", "mend it")]))))
    report = await doctor_of.examine(local=bool(local))
    assert report.findings[0].detail == told

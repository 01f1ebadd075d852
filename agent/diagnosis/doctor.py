"""Examines this head: all checks at once, each for two seconds at most."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from agent.diagnosis.database import of_one_cause
from agent.diagnosis.finding import Finding, Level, failed, for_others, in_order, warning, worst
from agent.diagnosis.report import Report, Told
from agent.errors import AgentError, TimedOut
from agent.ports import Clock

PATIENCE = 2.0
"""Seconds that a check has."""
_TODO = "see `journalctl -u clusterware-head-agent -p warning`"


@dataclass(frozen=True, slots=True)
class Looked:
    """What a check found, and what the report tells besides."""

    findings: Sequence[Finding]
    told: Told = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Check:
    """One look at something; it changes nothing. An AgentError is a finding."""

    name: str
    look: Callable[[], Awaitable[Looked]]


class Doctor:
    """Makes the report; `about` says who this head is, for nothing and at any time. `patience`: seconds a check has."""

    def __init__(
        self, checks: Sequence[Check], about: Callable[[], Told], clock: Clock, patience: float = PATIENCE
    ) -> None:
        self._checks = checks
        self._about = about
        self._clock = clock
        self._patience = patience
        self._turn = asyncio.Lock()
        self._begun = 0
        """How many times it has been looked."""
        self._last: tuple[int, Report] | None = None
        """The last report, and the number of the look that made it."""

    async def examine(self, *, local: bool) -> Report:
        """Look at everything; only where `local` the paths of this head are in it.

        However many ask, one look is under way: those who come meanwhile share the next, as what one of them has
        just mended may not be in this one.
        """
        begun_before = self._begun
        async with self._turn:
            if self._last is None or self._last[0] <= begun_before:
                self._begun += 1
                self._last = self._begun, await self._look()
            report = self._last[1]
        return report if local else replace(report, findings=tuple(for_others(report.findings)))

    async def _look(self) -> Report:
        began = self._clock.monotonic()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_carried_out(check, self._patience)) for check in self._checks]
        looked = [task.result() for task in tasks]
        findings = in_order(of_one_cause([finding for one in looked for finding in one.findings]))
        told: Told = {name: value for one in looked for name, value in one.told.items()}
        return Report(
            level=worst(findings),
            took=round(self._clock.monotonic() - began, 3),
            findings=tuple(findings),
            **self._about(),
            **told,
        )


async def _carried_out(check: Check, patience: float) -> Looked:
    try:
        async with asyncio.timeout(patience):
            return await check.look()
    except TimedOut as err:
        return Looked([warning(check.name, "this head", err.reason, _TODO)])
    except AgentError as err:
        return Looked([failed(check.name, "this head", err.reason, _TODO)])
    except TimeoutError:
        detail = f"{check.name}: not found out within {patience:g} s"
        return Looked([Finding(check.name, Level.WARNING, "this head", detail, _TODO)])

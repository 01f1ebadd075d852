"""Doing what a request asks, one unit: each word a job of systemd, awaited to its end and told as a result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import StrEnum

import structlog
from msgspec import Struct

from agent.errors import AgentError, Conflict, Denied, Failed, TimedOut
from agent.ports import Clock, Unit, UnitManager, Verb
from agent.services.requests import Action
from agent.services.units import ENABLED

log = structlog.get_logger()

_JOBS = {
    Action.START: Verb.START,
    Action.STOP: Verb.STOP,
    Action.RESTART: Verb.RESTART,
    Action.RELOAD: Verb.RELOAD,
}

_JOB_RESULTS = {
    "canceled": "another job took its place",
    "timeout": "systemd gave up waiting for it",
    "dependency": "a unit that it needs did not start",
    "skipped": "systemd saw no reason to do it",
    "invalid": "the unit is not running",
    "assert": "an assertion of the unit does not hold",
    "unsupported": "this system does not support it",
}
"""systemd's words for a job's end (org.freedesktop.systemd1, JobRemoved), for people."""


class Result(StrEnum):
    """How an action ended."""

    DONE = "done"
    FAILED = "failed"
    TIMEOUT = "timeout"
    SKIPPED = "skipped"
    UNSUPPORTED = "unsupported"


class Done(Struct, frozen=True):
    """What became of one action on one unit; `took` in seconds."""

    action: Action
    result: Result
    detail: str | None
    took: float


class Outcome(Struct, frozen=True):
    """What became of one service of a request."""

    name: str
    status: str
    actions: list[Done]


class Performer:
    """Performs actions on units; `look` tells what a unit is like now."""

    def __init__(self, manager: UnitManager, look: Callable[[str], Unit | None], clock: Clock) -> None:
        self._manager = manager
        self._look = look
        self._clock = clock
        self.ended: Counter[tuple[Action, Result]] = Counter()
        """How often each action ended in each way."""

    async def perform(self, action: Action, unit: str, timeout: float, before: Sequence[Done] = ()) -> Done:
        """Do one action; `before` is what was done to this unit already: after a failure the rest is skipped."""
        last = before[-1] if before else None
        if last is not None and last.result is not Result.DONE:
            failed = last.action if last.result is not Result.SKIPPED else before[0].action
            return Done(action, Result.SKIPPED, f"because {failed} was not done", 0.0)
        began = self._clock.monotonic()
        try:
            result, detail = await self._do(action, unit, timeout)
        except TimedOut as err:
            result, detail = Result.TIMEOUT, err.reason
        except Conflict as err:
            result, detail = Result.UNSUPPORTED if err.code == "unsupported" else Result.FAILED, err.reason
        except AgentError as err:
            result, detail = Result.FAILED, err.reason
        done = Done(action, result, detail, round(self._clock.monotonic() - began, 3))
        self.ended[action, result] += 1
        _say(unit, done)
        return done

    async def _do(self, action: Action, unit: str, timeout: float) -> tuple[Result, str | None]:
        match action:
            case Action.ENABLE | Action.DISABLE:
                return await self._switch(action, unit, timeout)
            case Action.START | Action.RESTART:
                return await self.start(_JOBS[action], unit, timeout)
            case Action.STOP | Action.RELOAD:
                return self._judged(unit, await self._manager.job(_JOBS[action], unit, timeout))

    async def start(self, verb: Verb, unit: str, timeout: float) -> tuple[Result, str | None]:
        """Start or restart, however often it was started of late: systemd's limit is for units, not for who asks."""
        with suppress(Denied, Failed):  # the job says it in its own words
            await self._manager.reset_failed(unit, timeout)
        return self._judged(unit, await self._manager.job(verb, unit, timeout))

    def _judged(self, unit: str, word: str) -> tuple[Result, str | None]:
        if word == "done":
            return Result.DONE, None
        known = self._look(unit)
        why = _JOB_RESULTS.get(word) or f"it ended with {known.result if known is not None else word}"
        result = Result.TIMEOUT if word == "timeout" else Result.FAILED
        return result, f"{why}; `journalctl -u {unit}` on the head has more"

    async def _switch(self, action: Action, unit: str, timeout: float) -> tuple[Result, str | None]:
        """Enable or disable, judged by the state of the unit file afterwards."""
        known = self._look(unit)  # none of an instance that was stopped just before: systemd tells, then
        if known is not None and (why := _NOT_SWITCHED.get(known.file_state)):
            return Result.UNSUPPORTED, f"cannot {action} it: {why}"
        if action is Action.ENABLE:
            if known is not None and known.file_state.startswith("masked"):
                return Result.FAILED, "cannot enable it: it is masked; `systemctl unmask` it first"
            state = await self._manager.enable(unit, timeout)
            as_asked = state in ENABLED | {"alias", "indirect", "linked", "linked-runtime"}
        else:
            state = await self._manager.disable(unit, timeout)
            as_asked = state not in ENABLED
        if as_asked:
            return Result.DONE, None
        return Result.FAILED, f"its unit file is {state or 'not there'} afterwards; the journal says more"


def _say(unit: str, done: Done) -> None:
    told = {"action": str(done.action), "result": str(done.result), "detail": done.detail, "took": done.took}
    if done.result is Result.DONE:
        log.info("Service action", unit=unit, **told)
    else:
        log.warning("Service action", unit=unit, **told)


_NOT_SWITCHED = {
    "static": "its unit file has no [Install] section",
    "generated": "its unit file is generated, not installed",
    "transient": "it has no unit file of its own",
    "": "it has no unit file",
}
"""Unit file states that enable and disable do not change."""

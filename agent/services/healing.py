"""Healing: acts on `decide_heal`, and says every decision in the journal, once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import structlog

from agent.config import Live
from agent.ports import Clock, Unit
from agent.services.units import HOUR, Decision, Heal, decide_heal

log = structlog.get_logger()

SETTLE = 1.0
"""Seconds that a unit has to stay failed before anything is decided: systemd's own restarts pass through that state."""


@dataclass(slots=True)
class _Patient:
    """A unit that has failed: since when, when we started it, and what was said of it last."""

    failed_at: float | None = None
    starts: list[float] = field(default_factory=list)
    said: tuple[Heal, str] = (Heal.NOTHING, "")
    starting: bool = False


@dataclass(slots=True)
class Healed:
    """How often a unit was started again, and how often that was put off as it keeps failing."""

    starts: int = 0
    pauses: int = 0


class Healer:
    """Has failed units started again, each when its time has come, through `start`, which does not wait."""

    def __init__(self, live: Live, clock: Clock, start: Callable[[str], None]) -> None:
        self._live = live
        self._clock = clock
        self._start = start
        self._patients: dict[str, _Patient] = {}
        self._alarm: asyncio.TimerHandle | None = None
        self.counts: dict[str, Healed] = {}
        """What was done for each unit; one that vanishes is forgotten."""
        self.wake = asyncio.Event()
        """Set when it is time for a turn."""

    def notice(self, unit: Unit) -> None:
        """A unit is new or has changed."""
        patient = self._patients.get(unit.name)
        if unit.active_state != "failed":
            if patient is not None:
                patient.failed_at, patient.said = None, (Heal.NOTHING, "")
            return
        if patient is None:
            patient = self._patients[unit.name] = _Patient()
        if patient.failed_at is None:
            patient.failed_at = self._clock.monotonic()
        self._wake_within(SETTLE)

    def started(self, name: str) -> None:
        """The start that was asked for has ended, well or not."""
        if (patient := self._patients.get(name)) is not None:
            patient.starting = False
        self._wake_within(SETTLE)

    def turn(self, units: Iterable[Unit]) -> None:
        """Decide about every failed unit, have those started whose time has come, and set the alarm for the next."""
        now = self._clock.monotonic()
        seen = {unit.name for unit in units if self._decide(unit, now)}
        for name, patient in list(self._patients.items()):
            patient.starts = [at for at in patient.starts if at + HOUR > now]
            if name not in seen and not patient.starts and not patient.starting:
                del self._patients[name]

    def close(self) -> None:
        """Set no more alarms."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _decide(self, unit: Unit, now: float) -> bool:
        """Decide about one unit, and act on it; returns whether it has failed."""
        patient = self._patients.get(unit.name)
        if patient is None or patient.failed_at is None or unit.active_state != "failed":
            return False
        if patient.starting:
            return True
        if now - patient.failed_at < SETTLE:
            self._wake_within(patient.failed_at + SETTLE - now)
            return True
        decision = decide_heal(unit, patient.failed_at, patient.starts, now, self._live.config.services)
        if (decision.heal, decision.reason) != patient.said:
            patient.said = (decision.heal, decision.reason)
            if decision.heal is Heal.PAUSE:
                self.counts.setdefault(unit.name, Healed()).pauses += 1
            _say(unit, decision, now, len(patient.starts))
        if decision.heal is Heal.START:
            patient.starts.append(now)
            patient.starting = True
            self.counts.setdefault(unit.name, Healed()).starts += 1
            self._start(unit.name)
        elif decision.heal in (Heal.WAIT, Heal.PAUSE):
            self._wake_within(decision.at - now)
        return True

    def paused(self, name: str) -> bool:
        """Whether the unit keeps failing and is left alone for a while."""
        patient = self._patients.get(name)
        return patient is not None and patient.said[0] is Heal.PAUSE

    def forget(self, name: str) -> None:
        """The unit is not there any more."""
        self.counts.pop(name, None)

    def _wake_within(self, seconds: float) -> None:
        """Have a turn taken in so many seconds, unless one is due before."""
        loop = asyncio.get_running_loop()
        at = loop.time() + max(0.0, seconds)
        if self._alarm is not None and loop.time() < self._alarm.when() <= at:
            return
        self.close()
        self._alarm = loop.call_at(at, self.wake.set)


def _say(unit: Unit, decision: Decision, now: float, earlier: int) -> None:
    wait = round(max(0.0, decision.at - now), 1)
    match decision.heal:
        case Heal.LEAVE:
            log.info("Failed unit left alone", unit=unit.name, reason=decision.reason, result=unit.result)
        case Heal.WAIT:
            log.warning("Unit failed", unit=unit.name, result=unit.result, next_start=wait, earlier_starts=earlier)
        case Heal.PAUSE:
            log.warning(
                "Healing paused",
                unit=unit.name,
                reason=decision.reason,
                next_start=wait,
                todo=f"see `journalctl -u {unit.name}`, mend that, then `cw-headctl services start {unit.name}`",
            )
        case Heal.START:
            log.info("Starting failed unit again", unit=unit.name, result=unit.result, earlier_starts=earlier)
        case Heal.NOTHING:
            pass

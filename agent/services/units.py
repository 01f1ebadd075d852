"""Units, judged: up or down, as a row, by which name, and whether one that failed is to be started again. All pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from agent.config import Services
from agent.model import Service
from agent.ports import Unit

OWN_UNIT = "clusterware-head-agent.service"
"""This agent's own unit: it is never stopped, switched or healed by itself."""

ENABLED = frozenset({"enabled", "enabled-runtime"})
"""The unit file states in which a unit starts at boot (systemctl(1), is-enabled)."""

HOUR = 3600.0
_SUFFIX = ".service"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def full_name(name: str) -> str:
    """A unit's name, or a pattern's, with the suffix that people leave out."""
    return name if name.endswith(_SUFFIX) else name + _SUFFIX


def short_name(unit: str) -> str:
    """A unit's name as the API shows it."""
    return unit.removesuffix(_SUFFIX)


def is_up(unit: Unit) -> bool:
    """Up is active, reloading, or activating with a running main process; everything else is down."""
    return unit.active_state in ("active", "reloading") or (unit.active_state == "activating" and unit.main_pid > 0)


def status(unit: Unit) -> str:
    """`up` or `down`."""
    return "up" if is_up(unit) else "down"


def row(unit: Unit) -> Service:
    """A unit as GET /head/services shows it."""
    return Service(
        name=short_name(unit.name),
        status=status(unit),
        unit=unit.name,
        description=unit.description,
        load_state=unit.load_state,
        active_state=unit.active_state,
        sub_state=unit.sub_state,
        enabled=unit.file_state,
        since=_rfc3339(unit.since) if unit.since else None,
        pid=unit.main_pid or None,
        restarts=unit.restarts,
        result=unit.result,
    )


def rows(units: Iterable[Unit]) -> list[Service]:
    """The table, sorted by name."""
    return sorted(map(row, units), key=lambda service: service.name)


def _rfc3339(microseconds: int) -> str:
    at = _EPOCH + timedelta(microseconds=microseconds)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Heal(StrEnum):
    """What is to be done about a unit."""

    NOTHING = "nothing"
    """It has not failed."""
    LEAVE = "leave"
    """It has failed, and that is none of our business."""
    WAIT = "wait"
    """It will be started again, later."""
    PAUSE = "pause"
    """It was started as often as is allowed in an hour, and will be again when that hour is over."""
    START = "start"
    """It is to be started now."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done, why, and from when on (monotonic seconds; 0 where time plays no part)."""

    heal: Heal
    reason: str = ""
    at: float = 0.0


def decide_heal(unit: Unit, failed_at: float, starts: Sequence[float], now: float, settings: Services) -> Decision:
    """Whether to start a unit that systemd gave up on.

    `failed_at` is when it was first seen failed, `starts` when we started it before, oldest first, both in
    monotonic seconds as `now` is. The pause doubles with each start within the last hour and is an hour at most.
    """
    if unit.active_state != "failed":
        return Decision(Heal.NOTHING)
    if because := left_alone(unit, settings):
        return Decision(Heal.LEAVE, because)
    recent = [at for at in starts if at + HOUR > now]
    if len(recent) >= settings.heal_per_hour:
        until = recent[-settings.heal_per_hour] + HOUR
        return Decision(Heal.PAUSE, f"it was started {len(recent)} times within an hour", until)
    pause = min(settings.heal_backoff * 2.0 ** len(recent), HOUR)
    at = failed_at + pause
    return Decision(Heal.START if now >= at else Heal.WAIT, f"systemd gave up on it ({unit.result})", at)


def left_alone(unit: Unit, settings: Services) -> str:
    """Why a failed unit is not to be started, "" when it is."""
    if not settings.heal:
        return "healing is switched off (services.heal)"
    if unit.name == OWN_UNIT:
        return "it is this agent"
    if unit.load_state != "loaded":
        return f"its unit file is {unit.load_state}"
    if unit.file_state not in ENABLED:
        return f"it is not enabled ({unit.file_state or 'no unit file'})"
    if unit.stopped:
        return "it was asked to stop"
    if unit.job:
        return "systemd has a job for it"
    return ""

"""POST /head/services, read and checked as a whole before anything is done. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from agent.errors import FieldError, Invalid
from agent.services.units import OWN_UNIT, full_name, short_name

_SHOWN = 20
"""So many faults are listed; a body can hold more than anyone would read."""
_QUOTED = 80


class Action(StrEnum):
    """The words of a request (the platform's API reference)."""

    START = "start"
    STOP = "stop"
    RESTART = "restart"
    ENABLE = "enable"
    DISABLE = "disable"
    RELOAD = "reload"


OWN_ACTIONS = frozenset({Action.RESTART, Action.RELOAD})
"""What the agent's own unit takes: anything else would leave nobody to undo it."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for: each action once, from left to right, on each of the units."""

    actions: tuple[Action, ...]
    units: tuple[str, ...]

    @property
    def own(self) -> bool:
        """Whether the agent itself is among the units."""
        return OWN_UNIT in self.units


def read_request(body: Mapping[str, Any], names: Mapping[str, str]) -> Request:
    """A request out of a body; `names` maps every name of a unit to its primary one. Raises Invalid with all faults."""
    faults = [FieldError(key[:_QUOTED], "is not known; send status and services") for key in body.keys() - _FIELDS]
    actions = _actions(body.get("status"), faults)
    units = _units(body.get("services"), names, faults)
    refused = [action for action in actions if action not in OWN_ACTIONS]
    if refused and OWN_UNIT in units:
        faults.append(FieldError("status", f"{short_name(OWN_UNIT)} takes restart and reload only, not {refused[0]}"))
    if faults:
        faults.sort(key=lambda fault: fault.field)
        first = faults[0]
        raise Invalid(f"cannot do that: {first.field}: {first.reason}", fields=faults[:_SHOWN])
    return Request(tuple(actions), tuple(units))


_FIELDS = frozenset({"status", "services"})


def _actions(status: Any, faults: list[FieldError]) -> list[Action]:
    if not isinstance(status, str):
        faults.append(FieldError("status", f"must be text such as {'enable,start'!r}; the words are {_words()}"))
        return []
    found: dict[Action, None] = {}
    for word in status.split(","):
        try:
            found[Action(word.strip())] = None
        except ValueError:
            faults.append(FieldError("status", f"{word.strip()[:_QUOTED]!r} is none of {_words()}"))
    return list(found)


def _words() -> str:
    return ", ".join(Action)


def _units(services: Any, names: Mapping[str, str], faults: list[FieldError]) -> list[str]:
    if not isinstance(services, list) or not services:
        faults.append(FieldError("services", "must be a list of at least one name that GET /head/services shows"))
        return []
    found: dict[str, None] = {}
    for position, name in enumerate(services):
        field = f"services[{position}]"
        if not isinstance(name, str):
            faults.append(FieldError(field, "must be text: a name that GET /head/services shows"))
        elif (unit := names.get(full_name(name))) is None:
            faults.append(FieldError(field, f"{name[:_QUOTED]!r} is not a service that GET /head/services shows"))
        elif unit in found:
            faults.append(FieldError(field, f"{name[:_QUOTED]!r} is named twice"))
        else:
            found[unit] = None
    return list(found)

"""systemd's D-Bus interface as data: names, paths, which units count, what a signal says, what an error means.

Source of the names: org.freedesktop.systemd1(5).
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from agent.adapters.systemd.bus import CLOSED, NO_REPLY, BusError
from agent.errors import AgentError, Conflict, Denied, Failed, NotFound, TimedOut, Unavailable
from agent.ports import Unit

NAME = "org.freedesktop.systemd1"
ROOT = "/org/freedesktop/systemd1"
MANAGER = f"{NAME}.Manager"
UNIT = f"{NAME}.Unit"
SERVICE = f"{NAME}.Service"
PROPERTIES = "org.freedesktop.DBus.Properties"

BUS_NAME = "org.freedesktop.DBus"
BUS_PATH = "/org/freedesktop/DBus"
NO_OWNER = "org.freedesktop.DBus.Error.NameHasNoOwner"

SWITCHES = {"enable": "clusterware-head-agent-enable@", "disable": "clusterware-head-agent-disable@"}
"""The one-shot root templates that enable and disable the unit which is their instance."""

_UNITS = f"{ROOT}/unit/"
_ESCAPED = re.compile(r"_([0-9a-f]{2})")

SINCE = {
    "active": "ActiveEnterTimestamp",
    "reloading": "ActiveEnterTimestamp",
    "activating": "InactiveExitTimestamp",
    "deactivating": "ActiveExitTimestamp",
}
"""Active state -> the property that tells since when; InactiveEnterTimestamp for the others."""

_FIELDS = {
    "ActiveState": "active_state",
    "SubState": "sub_state",
    "MainPID": "main_pid",
    "NRestarts": "restarts",
    "Result": "result",
}
"""Property -> field of Unit, as far as PropertiesChanged carries it."""

Fields = Mapping[str, Any]
"""What changed of a Unit: field -> value."""


UNLOADED: Fields = {
    "active_state": "inactive",
    "sub_state": "dead",
    "main_pid": 0,
    "restarts": 0,
    "result": "success",
    "job": 0,
}
"""What becomes of a unit that systemd unloads."""


def unit_name(path: str) -> str:
    """The unit whose object path this is."""
    return _ESCAPED.sub(lambda code: chr(int(code[1], 16)), path.removeprefix(_UNITS))


def switch(word: str, unit: str) -> str:
    """The instance that enables or disables a unit."""
    return f"{SWITCHES[word]}{unit.removesuffix('.service')}.service"


def is_switch(name: str) -> bool:
    """Whether a unit is one of the agent's own tools, and so no service of the head."""
    return name.startswith(tuple(SWITCHES.values()))


def is_template(name: str) -> bool:
    """Whether a unit file is a template, which can only run as an instance."""
    return name.endswith("@.service")


class Selection:
    """Which units count: those whose name one of the patterns matches, the agent's own tools apart."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self.patterns = tuple(patterns)
        self._matches = re.compile("|".join(map(fnmatch.translate, self.patterns)) or "(?!)").match

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._matches(name) is not None and not is_switch(name)

    @property
    def loose(self) -> list[str]:
        """The patterns for systemd's fnmatch(3), which may treat a backslash in its own way: at least as wide."""
        return [pattern.replace("\\", "?") for pattern in self.patterns]


def properties_changed(path: str, arguments: Any) -> tuple[str, Fields] | None:
    """What a PropertiesChanged signal says of a unit, as far as a Unit has it."""
    properties = arguments.get_child_value(1)
    fields: dict[str, Any] = {}
    for name, field in _FIELDS.items():
        value = properties.lookup_value(name, None)
        if value is not None:
            fields[field] = value.unpack()
    if (job := properties.lookup_value("Job", None)) is not None:
        fields["job"] = job.unpack()[0]
    if "active_state" in fields:
        since = properties.lookup_value(since_property(fields["active_state"]), None)
        if since is not None:
            fields["since"] = since.unpack()
        if fields["active_state"] in ("active", "activating", "reloading"):
            fields["stopped"] = False
    return (unit_name(path), fields) if fields else None


def changed(unit: Unit | None, fields: Fields) -> Unit | None:
    """A unit after a change; None when there is none, or none any more."""
    if unit is None:
        return None
    unit = replace(unit, **fields)
    return None if unit.load_state == "not-found" and unit.active_state == "inactive" else unit


def remember(old: Unit | None, read: Unit) -> Unit | None:
    """A unit as it was read, with what systemd forgets or never told: when it ended, and that it was asked to."""
    if old is not None and old.active_state == read.active_state and read.since in (old.since, 0):
        read = replace(read, since=old.since, stopped=old.stopped)
    return changed(read, {})


def since_property(active_state: str) -> str:
    """The property that tells since when a unit is in this state, as `systemctl status` shows it."""
    return SINCE.get(active_state, "InactiveEnterTimestamp")


def was_stopped(result: str, active_exit: int, main_start: int, main_exit: int) -> bool:
    """Whether a failed unit failed while being stopped, told from its monotonic timestamps.

    A process that dies by itself ends before the unit leaves its active state; one that is told to stop, after.
    A watchdog also acts first.
    """
    return result != "watchdog" and main_start <= active_exit < main_exit


def failure(err: BusError, doing: str) -> AgentError:
    """What a failed call means; `doing` completes "cannot", such as "start x.service"."""
    word = err.name.rpartition(".")[2]
    if word in ("AccessDenied", "InteractiveAuthorizationRequired", "AuthFailed"):
        return Denied(f"this agent may not {doing}: run `cw-headctl config apply` as root", code="not-allowed")
    if "polkit" in err.message and "polkit" not in doing:  # that could not be started to be asked
        why = err.message.rstrip(".")
        return Failed(f"cannot {doing}: polkit does not tell whether this agent may ({why}): see `cw-headctl doctor`")
    if word == "NoSuchUnit":
        return NotFound(f"cannot {doing}: {err.message}")
    if word == "JobTypeNotApplicable":
        return Conflict(f"cannot {doing}: the unit does not support it", code="unsupported")
    if err.name == NO_REPLY:
        return TimedOut(f"cannot {doing}: systemd has not answered in time")
    if err.name == CLOSED or word in ("NameHasNoOwner", "ServiceUnknown", "Disconnected"):
        return Unavailable(f"cannot {doing}: systemd is not reachable over D-Bus")
    return Failed(f"cannot {doing}: {err.message}")

"""The units of the fake systemd: what a unit file and a loaded unit consist of."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field

from dbus_fast import Variant

from tests.support.unit_specs import Spec

UNIT, SERVICE = "org.freedesktop.systemd1.Unit", "org.freedesktop.systemd1.Service"


def now() -> int:
    """Microseconds, for every timestamp."""
    return time.time_ns() // 1000


@dataclass
class UnitFile:
    """A unit file and its state (systemctl list-unit-files)."""

    spec: Spec
    state: str
    alias_of: str = ""
    instance: bool = False
    """Not a file of its own: an instance that is enabled."""


@dataclass
class FakeUnit:
    """A loaded unit."""

    name: str
    spec: Spec = field(default_factory=Spec)
    load_state: str = "not-found"
    active_state: str = "inactive"
    sub_state: str = "dead"
    pid: int = 0
    restarts: int = 0
    starts: int = 0
    result: str = "success"
    job: int = 0
    job_method: str = ""
    since: dict[str, int] = field(default_factory=dict)
    main_start: int = 0
    main_exit: int = 0

    @property
    def path(self) -> str:
        """Its object path."""
        escaped = re.sub(r"[^A-Za-z0-9]", lambda char: f"_{ord(char[0]):02x}", self.name)
        return f"/org/freedesktop/systemd1/unit/{escaped}"

    def apply(self, file: UnitFile | None) -> None:
        """Take over what the unit file says."""
        if file is None:
            self.load_state = "not-found"
            return
        self.spec = file.spec
        self.load_state = "masked" if file.state == "masked" else "loaded"

    def enter(self, active_state: str, sub_state: str) -> None:
        """Change the state, with the timestamps that go with it."""
        if active_state != self.active_state:
            left = {"active": "ActiveExit", "inactive": "InactiveExit", "failed": "InactiveExit"}.get(self.active_state)
            entered = {"active": "ActiveEnter", "inactive": "InactiveEnter", "failed": "InactiveEnter"}
            for name in (left, entered.get(active_state)):
                if name is not None:
                    self.since[name] = now()
        self.active_state, self.sub_state = active_state, sub_state

    def row(self) -> list[object]:
        """The unit in a list of units."""
        job_path = f"/org/freedesktop/systemd1/job/{self.job}" if self.job else "/"
        description = self.spec.description if self.load_state == "loaded" else self.name
        state = [self.load_state, self.active_state, self.sub_state]
        return [self.name, description, *state, "", self.path, self.job, "", job_path]

    def properties(self) -> dict[str, Variant]:
        """All properties by name."""
        times = {f"{n}Timestamp": Variant("t", self.since.get(n, 0)) for n in _TIMES}
        return {
            **times,
            **{f"{name}Monotonic": value for name, value in times.items()},
            "ActiveState": Variant("s", self.active_state),
            "SubState": Variant("s", self.sub_state),
            "Job": Variant("(uo)", [self.job, f"/org/freedesktop/systemd1/job/{self.job}" if self.job else "/"]),
            "MainPID": Variant("u", self.pid),
            "NRestarts": Variant("u", self.restarts),
            "Result": Variant("s", self.result),
            "ExecMainStartTimestampMonotonic": Variant("t", self.main_start),
            "ExecMainExitTimestampMonotonic": Variant("t", self.main_exit),
        }

    def signalled(self) -> list[tuple[str, list[str]]]:
        """What a change signals: the properties of each interface, in systemd's order."""
        times = [f"{name}Timestamp" for name in _TIMES]
        return [
            (SERVICE, ["MainPID", "NRestarts", "Result"]),
            (UNIT, ["ActiveState", "SubState", "Job", *times]),
        ]


_TIMES = ("ActiveEnter", "ActiveExit", "InactiveEnter", "InactiveExit")

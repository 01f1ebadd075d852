"""The service manager: what it says of units, and what it can be asked to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Unit:
    """What systemd says of one service unit; the words are systemd's own, `name` is the primary name."""

    name: str
    description: str = ""
    load_state: str = "loaded"
    active_state: str = "inactive"
    sub_state: str = "dead"
    file_state: str = ""
    """UnitFileState, read from disk: enabled, disabled, static, masked, ...; empty when there is no file."""
    aliases: frozenset[str] = frozenset()
    """Its other names, as far as a pattern matches them."""
    main_pid: int = 0
    """0 when nothing runs."""
    restarts: int = 0
    """How often systemd itself restarted it (NRestarts)."""
    result: str = "success"
    since: int = 0
    """Microseconds since 1970 (UTC) when it got into its active state; 0 when systemd does not know."""
    job: int = 0
    """The id of the pending systemd job, 0 without one."""
    stopped: bool = False
    """Somebody asked for it to stop, and nobody asked for it to start since; a stop that ended badly counts."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All units there are now; whatever was known before is void."""

    units: tuple[Unit, ...]


@dataclass(frozen=True, slots=True)
class Changed:
    """One unit as it is now, known before or not."""

    unit: Unit


@dataclass(frozen=True, slots=True)
class Gone:
    """A unit that is neither loaded nor installed any more."""

    name: str


@dataclass(frozen=True, slots=True)
class Lost:
    """Nothing is heard of systemd from here on, until a Snapshot says otherwise; `reason` is one sentence."""

    reason: str


UnitEvent = Snapshot | Changed | Gone | Lost


class Verb(StrEnum):
    """What systemd can be asked to do with a unit that ends as a job."""

    START = "start"
    STOP = "stop"
    RESTART = "restart"
    RELOAD = "reload"


class UnitManager(Protocol):
    """The service manager. Every method but `run` and `select` raises

    Unavailable (nobody to ask), Denied (this agent may not, by polkit), NotFound (no such unit), TimedOut (no
    answer in `timeout` seconds), Conflict with code `unsupported` (the unit cannot do that), Failed (the rest).
    """

    def select(self, patterns: Sequence[str]) -> None:
        """Follow the units whose name matches one of these shell patterns; a Snapshot follows if that is new."""
        ...

    async def run(self, hear: Callable[[UnitEvent], None]) -> None:
        """Follow systemd until cancelled: `hear` gets a Snapshot, then what changes, in the order of its happening.

        Lost may come at any time and more than once; a Snapshot ends it. Units that are installed but not
        loaded are part of a Snapshot; templates, and names that exist nowhere, are not. `hear` is called
        in the event loop and does not wait.
        """
        ...

    async def job(self, verb: Verb, unit: str, timeout: float) -> str:
        """Queue a job and wait for its end: systemd's word for it (done, failed, timeout, canceled, dependency, ...).

        Whatever `hear` was to be told of the unit by then, it has been told. After TimedOut the job goes on.
        """
        ...

    async def reset_failed(self, unit: str, timeout: float) -> None:
        """Forget that the unit failed and how often it was started; a unit that is not loaded is fine."""
        ...

    async def enable(self, unit: str, timeout: float) -> str:
        """Have the unit start at boot, as its [Install] section says; returns its UnitFileState afterwards."""
        ...

    async def disable(self, unit: str, timeout: float) -> str:
        """Have the unit not start at boot; returns its UnitFileState afterwards."""
        ...

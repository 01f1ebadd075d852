"""Services to test with, described once: the fake behaves like them, a real systemd runs them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Behaviour(StrEnum):
    """What a service does."""

    STEADY = "steady"
    """Runs until it is told to stop."""
    SLOW = "slow"
    """Takes a moment until it says that it is ready."""
    CRASHING = "crashing"
    """Dies at once; systemd starts it again, and gives up after the third start."""
    SULKING = "sulking"
    """Does stop when told to, but with an error."""
    STUBBORN = "stubborn"
    """Does not stop when told to; a second later systemd kills it."""


@dataclass(frozen=True)
class Spec:
    """A service unit file."""

    behaviour: Behaviour = Behaviour.STEADY
    description: str = "A service to test with"
    install: bool = True
    reloads: bool = False
    alias: str = ""

    def text(self) -> str:
        """The unit file."""
        unit, service = [f"Description={self.description}"], list(_SERVICE[self.behaviour])
        if self.behaviour is Behaviour.CRASHING:
            unit += ["StartLimitIntervalSec=1h", "StartLimitBurst=3"]
        if self.reloads:
            service.append("ExecReload=/bin/true")
        lines = ["[Unit]", *unit, "[Service]", *service]
        if self.install:
            lines += ["[Install]", "WantedBy=multi-user.target"]
            lines += [f"Alias={self.alias}"] if self.alias else []
        return "\n".join(lines) + "\n"


_LOOP = "while :; do sleep 0.05; done"
_SERVICE = {
    Behaviour.STEADY: ["ExecStart=/bin/sleep infinity"],
    Behaviour.SLOW: [
        "Type=notify",
        "NotifyAccess=all",
        f'ExecStart=/bin/sh -c "sleep 0.5; systemd-notify --ready; {_LOOP}"',
    ],
    Behaviour.CRASHING: ["ExecStart=/bin/false", "Restart=on-failure", "RestartSec=10ms"],
    Behaviour.SULKING: [
        "Type=notify",
        "NotifyAccess=all",
        f"ExecStart=/bin/sh -c \"trap 'exit 3' TERM; systemd-notify --ready; {_LOOP}\"",
    ],
    Behaviour.STUBBORN: [
        "Type=notify",
        "NotifyAccess=all",
        f'ExecStart=/bin/sh -c "trap : TERM; systemd-notify --ready; {_LOOP}"',
        "TimeoutStopSec=1",
    ],
}

"""The rows about a head's services."""

from __future__ import annotations

from agent.ctl.command import Argument, Command, Reach

_SERVICE = Argument("service", "a name as `cw-headctl services` lists it", "SERVICE", "+", complete="services")
_VERBS = {
    "start": None,
    "stop": None,
    "restart": None,
    "reload": None,
    "enable": "start",
    "disable": "stop",
}
"""What can be done to services, and what --now adds to it."""

_ACTIONS = tuple(
    Command(
        f"services {action}",
        "services:act",
        f"{action.capitalize()} services, and wait for what systemd made of it",
        Reach.HEADS,
        arguments=(_SERVICE, *((Argument("--now", f"{also} them too"),) if also else ())),
        degraded="one does not stay up" if "start" in (action, also) or action == "restart" else None,
        changes=True,
    )
    for action, also in _VERBS.items()
)

ROWS: tuple[Command, ...] = (
    Command(
        "services ls",
        "services:listing",
        "List the services of a head",
        Reach.HEADS,
        degraded="an enabled one is down",
        default=True,
    ),
    Command(
        "services watch",
        "following:follow",
        "Show the services of a head, then every change as it happens",
        Reach.HEADS,
        arguments=(Argument("service", "only these services", "SERVICE", "*", complete="services"),),
        streams=True,
    ),
    *_ACTIONS,
)

"""cw-headctl services."""

from __future__ import annotations

import argparse
import shlex
from typing import Any

from agent.ctl.client import ask
from agent.ctl.outcome import Exit, Failure, Outcome

_FIELDS = ("name", "status", "enabled", "active_state", "since", "description")

_NOW = {"enable": "start", "disable": "stop"}


def listing(arguments: argparse.Namespace) -> Outcome:
    """List the services; degraded when one is enabled and down."""
    services = ask(arguments.agent, "GET", "/head/services", doing="list the services").data
    rows = [[service[field] for field in _FIELDS] for service in services]
    down = any(service["status"] == "down" and service["enabled"] == "enabled" for service in services)
    columns = [field.removeprefix("active_") for field in _FIELDS]
    return Outcome(services, columns, rows, "This head has no services.", exit=Exit.DEGRADED if down else Exit.OK)


def act(arguments: argparse.Namespace) -> Outcome:
    """Start, stop, restart, reload, enable or disable services; failed when systemd's job failed for one.

    Degraded where one was started and did not stay up.
    """
    action = arguments.command.words[1]
    words = f"{action},{_NOW[action]}" if vars(arguments).get("now") else action
    doing = f"{action} {', '.join(arguments.service)}"
    body = {"status": words, "services": arguments.service}
    reply = ask(arguments.agent, "POST", "/head/services", body, doing=doing, partial=(502, 504))
    rows = [_row(service, step) for service in reply.data for step in service["actions"]]
    failed = any(step["result"] not in ("done", "skipped") for service in reply.data for step in service["actions"])
    lines = []
    if failed:
        units = " ".join(f"-u {shlex.quote(service['name'])}" for service in reply.data)
        lines.append(f"What the services said: `journalctl -n 20 {units}`.")
    fallen = _fallen(arguments, reply.data)
    lines += [f"{name} was started, and is down again: see `journalctl -n 20 -u {name}`." for name in fallen]
    return Outcome(
        reply.data,
        ("name", "status", "action", "result", "took", "detail"),
        rows,
        lines=lines,
        exit=Exit.FAILED if failed else Exit.DEGRADED if fallen else Exit.OK,
    )


def _fallen(arguments: argparse.Namespace, done: list[dict[str, Any]]) -> list[str]:
    """Which services ended with a failure right after their start, which for systemd had been one.

    Not those that do their work and end: these are down as well, and well.
    """
    down = {service["name"] for service in done if service["status"] == "down" and _is_start(service["actions"][-1])}
    if not down:
        return []
    try:
        now = ask(arguments.agent, "GET", "/head/services", doing="list the services").data
    except Failure:
        return []  # what was asked for is done, and told
    return [row["name"] for row in now if row["name"] in down and row["active_state"] in ("failed", "activating")]


def _is_start(step: dict[str, Any]) -> bool:
    return step["action"] in ("start", "restart") and step["result"] == "done"


def _row(service: dict[str, Any], step: dict[str, Any]) -> tuple[Any, ...]:
    return (service["name"], service["status"], step["action"], step["result"], f"{step['took']:.1f} s", step["detail"])

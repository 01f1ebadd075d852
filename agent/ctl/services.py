"""cw-headctl services."""

from __future__ import annotations

import argparse
import shlex
from typing import Any

from agent.ctl.client import ask
from agent.ctl.outcome import Exit, Outcome

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
    """Start, stop, restart, reload, enable or disable services; failed when systemd's job failed for one."""
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
    return Outcome(
        reply.data,
        ("name", "status", "action", "result", "took", "detail"),
        rows,
        lines=lines,
        exit=Exit.FAILED if failed else Exit.OK,
    )


def _row(service: dict[str, Any], step: dict[str, Any]) -> tuple[Any, ...]:
    return (service["name"], service["status"], step["action"], step["result"], f"{step['took']:.1f} s", step["detail"])

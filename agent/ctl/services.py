"""cw-headctl services."""

from __future__ import annotations

import argparse

from agent.ctl.client import Exit, ask
from agent.ctl.show import as_json, table


def listing(arguments: argparse.Namespace) -> Exit:
    """List the services; degraded when one is enabled and down."""
    services = ask(arguments.agent, "GET", "/head/services", doing="list the services").data
    if arguments.json:
        as_json(services)
    else:
        columns = ("name", "status", "enabled", "active_state", "since", "description")
        table(columns, ([s[c] for c in columns] for s in services), "This head has no services.")
    down = any(s["status"] == "down" and s["enabled"] == "enabled" for s in services)
    return Exit.DEGRADED if down else Exit.OK

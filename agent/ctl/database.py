"""cw-headctl database."""

from __future__ import annotations

import argparse

from agent.ctl.client import Exit, ask
from agent.ctl.show import as_json, bytes_text, table


def backups(arguments: argparse.Namespace) -> Exit:
    """List the backups."""
    data = ask(arguments.agent, "GET", "/database/backups", doing="list the backups").data
    if arguments.json:
        as_json(data)
    else:
        rows = ([b["name"], bytes_text(b["bytes"]), b["made"]] for b in data)
        table(("name", "size", "made"), rows, "There are no backups: `cw-headctl database backup` makes one.")
    return Exit.OK


def backup(arguments: argparse.Namespace) -> Exit:
    """Make a backup now."""
    data = ask(arguments.agent, "POST", "/database/backups", {}, doing="make a backup").data
    if arguments.json:
        as_json(data)
    else:
        print(data["name"])
    return Exit.OK


def restore(arguments: argparse.Namespace) -> Exit:
    """Put a backup in the database's place."""
    body = {"name": arguments.name}
    data = ask(arguments.agent, "POST", "/database/restore", body, doing=f"restore {arguments.name}").data
    if arguments.json:
        as_json(data)
    else:
        print(f"Restored {arguments.name}; the former database is kept as {data['replaced']}.")
    return Exit.OK

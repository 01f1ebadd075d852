"""cw-headctl database."""

from __future__ import annotations

import argparse

from agent.ctl.client import Exit, ask
from agent.ctl.confirm import confirm
from agent.ctl.show import as_json, bytes_text, table

_BEFORE_RECOVERY = """\
This head goes on alone, in a new cluster, with the newest records that it has. What only the other heads
know is lost; those that still run must join again. Only when they are gone for good!"""


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


def migrate(arguments: argparse.Namespace) -> Exit:
    """Take this head's records from SQLite into etcd."""
    if not arguments.json:
        print("Writing a backup, starting etcd and copying all records: this takes some seconds ...", flush=True)
    data = ask(arguments.agent, "POST", "/database/migrate", {}, doing="migrate the database").data
    if arguments.json:
        as_json(data)
    elif data["backup"] is None:
        print(f"Nothing to do: the {data['records']} records are in etcd already.")
    else:
        print(f"All {data['records']} records are in etcd now; the backup is {data['backup']['name']}.")
        print("One member bears no loss: have two more heads join, `cw-headctl join` on each.")
    return Exit.OK


def recover(arguments: argparse.Namespace) -> Exit:
    """Go on with this head alone, after etcd's quorum is gone for good."""
    if not arguments.yes:
        confirm(_BEFORE_RECOVERY, "recover")
    if not arguments.json:
        print("Writing a backup and beginning a new etcd from this head's records ...", flush=True)
    data = ask(arguments.agent, "POST", "/database/recover", {}, doing="recover the database").data
    if arguments.json:
        as_json(data)
        return Exit.OK
    print(f"This head goes on alone, in a new cluster, with {data['records']} records. Tokens have to be made anew.")
    print(f"The backup is {data['backup']['name']}.")
    for uid in data["others"]:
        print(f"Left behind: {uid}. If it is to come back: `cw-headctl token --join` here, and what it prints there.")
    return Exit.OK

"""cw-headctl database: its backups, its engine, cleaning it."""

from __future__ import annotations

import argparse
from typing import Any

from agent.ctl.client import Agent, ask
from agent.ctl.outcome import Exit, Failure, Outcome, Plan
from agent.ctl.progress import DATABASE, progress
from agent.ctl.show import bytes_text, count

_LONGEST = 900.0
"""Seconds for a clean: each of etcd's members may be defragmented in its turn."""
_ACTIONS = ("action", "kind", "target", "size", "reason")


def backups(arguments: argparse.Namespace) -> Outcome:
    """List the backups."""
    data = ask(arguments.agent, "GET", "/database/backups", doing="list the backups").data
    rows = [(backup["name"], bytes_text(backup["bytes"]), backup["made"]) for backup in data]
    empty = "There are no backups: `cw-headctl database backup` makes one."
    return Outcome(data, ("name", "size", "made"), rows, empty)


def backup(arguments: argparse.Namespace) -> Outcome:
    """Make a backup now."""
    data = ask(arguments.agent, "POST", "/database/backups", {}, doing="make a backup").data
    return Outcome(data, lines=[data["name"]])


def plan_restore(arguments: argparse.Namespace) -> Plan:
    """What a restore would take the place of."""
    doing = f"restore {arguments.name}"
    made = ask(arguments.agent, "GET", "/database/backups", doing="list the backups").data
    found = next((backup for backup in made if backup["name"] == arguments.name), None)
    if found is None:
        raise Failure(f"cannot {doing}: there is no backup of that name: `cw-headctl database backups` lists them")
    lines = [
        f"The backup of {found['made']}, {bytes_text(found['bytes'])}, takes the database's place: "
        "what was written since then is in it no more. The heads of the cluster stay those that they are.",
        "The database that is there now is kept beside it.",
    ]
    return Plan(doing, {"name": arguments.name}, lines, word="restore")


def restore(arguments: argparse.Namespace) -> Outcome:
    """Put a backup in the database's place."""
    body = {"name": arguments.name}
    data = ask(arguments.agent, "POST", "/database/restore", body, doing=f"restore {arguments.name}").data
    return Outcome(data, lines=[f"Restored {arguments.name}; the former database is kept as {data['replaced']}."])


def check(arguments: argparse.Namespace) -> Outcome:
    """Read every record and say what is wrong with it; degraded when anything is."""
    data = ask(arguments.agent, "GET", "/database/check", doing="check the database").data
    columns = ("kind", "uid", "field", "target", "finding")
    rows = [
        (found["kind"], found["uid"], found["field"], found["target"] or None, found["reason"])
        for found in data["findings"]
    ]
    amounts = ", ".join(count(amount, kind) for kind, amount in data["records"].items() if amount) or "none"
    lines = [f"Problem: {problem}" for problem in data["problems"]]
    lines.append(f"Records read on {data['engine']}: {amounts}.")
    if data["total"]:
        lines.append(f"{count(data['total'], 'finding')}; nothing was changed.")
    elif not data["problems"]:
        lines.append("Nothing is wrong with them.")
    bad = data["total"] or data["problems"]
    return Outcome(data, columns, rows, lines=lines, exit=Exit.DEGRADED if bad else Exit.OK)


def plan_clean(arguments: argparse.Namespace) -> Plan | Outcome:
    """What a clean would do."""
    data = ask(arguments.agent, "GET", "/database/clean", doing="plan a clean of the database").data
    findings = _findings(data)
    if not data["actions"]:
        nothing = {**data, "performed": [], "skipped": [], "backup": None}
        return Outcome(nothing, lines=[*findings, "Nothing to do: the database is clean."])
    total = bytes_text(sum(action["bytes"] or 0 for action in data["actions"]))
    actions = count(len(data["actions"]), "action")
    lines = [*findings, f"{actions}, {total}, behind a backup."]
    return Plan("clean the database", data, lines, _ACTIONS, [_row(action) for action in data["actions"]])


def clean(arguments: argparse.Namespace) -> Outcome:
    """Do what was shown; degraded when some of it was skipped."""
    body = {"plan": arguments.plan["plan"]}
    data = ask(
        arguments.agent,
        "POST",
        "/database/clean",
        body,
        doing="clean the database",
        timeout=_LONGEST,
        progress=progress(arguments.agent, DATABASE),
    ).data
    freed = bytes_text(sum(action["bytes"] or 0 for action in data["performed"]))
    lines = [f"Skipped: {skip['action']} {skip['target']}: {skip['reason']}" for skip in data["skipped"]]
    lines.append(f"Done: {count(len(data['performed']), 'action')}, {freed}; the backup is {data['backup']['name']}.")
    return Outcome(data, lines=lines, exit=Exit.DEGRADED if data["skipped"] else Exit.OK)


def plan_migration(arguments: argparse.Namespace) -> Plan | None:
    """What a migration does; nothing where the records are in etcd, or where it will be refused."""
    doing = "migrate the database"
    heads = ask(arguments.agent, "GET", "/heads", doing=doing).data
    if len(heads) > 1 or ask(arguments.agent, "GET", "/head/peerurl", doing=doing).data["store"] == "etcd":
        return None
    lines = ["All records are copied from SQLite into an etcd that the agent starts on this head, behind a backup."]
    return Plan(doing, {}, lines, by_program=True)


def migrate(arguments: argparse.Namespace) -> Outcome:
    """Take this head's records from SQLite into etcd."""
    data = ask(
        arguments.agent,
        "POST",
        "/database/migrate",
        {},
        doing="migrate the database",
        progress=progress(arguments.agent, DATABASE),
    ).data
    if data["backup"] is None:
        return Outcome(data, lines=[f"Nothing to do: the {data['records']} records are in etcd already."])
    lines = [
        f"All {data['records']} records are in etcd now; the backup is {data['backup']['name']}.",
        "One member bears no loss: have two more heads join, `cw-headctl join` on each.",
    ]
    return Outcome(data, lines=lines)


def plan_recovery(arguments: argparse.Namespace) -> Plan:
    """What a recovery gives up; raises Failure where there is nothing to recover from."""
    if refusal := _not_to_be_recovered(arguments.agent):
        raise Failure(f"cannot recover: {refusal}; nothing was changed")
    lines = [
        "This head goes on alone, in a new cluster, with the newest records that it has. What only the other heads",
        "know is lost; those that still run must join again. Only when they are gone for good!",
    ]
    return Plan("recover", {}, lines, word="recover")


def _not_to_be_recovered(agent: Agent) -> str | None:
    """Why the agent would refuse, as far as it answers at all."""
    try:
        store = ask(agent, "GET", "/head/peerurl", doing="look").data["store"]
        stale = ask(agent, "GET", "/heads", doing="look").stale
    except Failure:
        return None
    if store != "etcd":
        return (
            "this head's records are in a file of its own, which needs no quorum; for a damaged one see "
            "`cw-headctl database restore`"
        )
    if stale is None:
        return (
            "the database has its quorum, so there is nothing to recover from; heads that are gone are removed with "
            "`cw-headctl heads evict`"
        )
    return None


def recover(arguments: argparse.Namespace) -> Outcome:
    """Go on with this head alone, after etcd's quorum is gone for good."""
    data = ask(
        arguments.agent,
        "POST",
        "/database/recover",
        {},
        doing="recover the database",
        progress=progress(arguments.agent, DATABASE),
    ).data
    lines = [
        f"This head goes on alone, in a new cluster, with {data['records']} records. Tokens have to be made anew.",
        f"The backup is {data['backup']['name']}.",
    ]
    lines += [
        f"Left behind: {uid}. If it is to come back: `cw-headctl token --join` here, and what it prints there."
        for uid in data["others"]
    ]
    return Outcome(data, lines=lines)


def _findings(data: dict[str, Any]) -> list[str]:
    lines = [f"Finding: {_finding(found)}" for found in data["findings"][:20]]
    if len(data["findings"]) > 20:
        lines.append(f"and {len(data['findings']) - 20} more findings: `cw-headctl database check` lists them")
    return lines


def _finding(found: dict[str, Any]) -> str:
    return f"{found['kind']} {found['uid']}: {found['field']} {found['target']}: {found['reason']}"


def _row(action: dict[str, Any]) -> tuple[Any, ...]:
    size = None if action["bytes"] is None else bytes_text(action["bytes"])
    return (action["action"], action["kind"], action["target"], size, action["reason"])

"""cw-headctl heads."""

from __future__ import annotations

import argparse
from typing import Any

from agent.ctl.client import Exit, Reply, ask
from agent.ctl.show import as_json, table

_WORST_FIRST = ("down", "unknown", "suspect", "up")


def listing(arguments: argparse.Namespace) -> Exit:
    """List the heads; degraded when one is not up, this one is out of the cluster, or there is no quorum."""
    reply = ask(arguments.agent, "GET", "/heads", doing="list the heads")
    heads: dict[str, dict[str, Any]] = reply.data
    if arguments.json:
        as_json(heads)
    else:
        columns = ("uid", "state", "last seen", "since", "heard by", "url", "description")
        rows = sorted(heads.values(), key=lambda head: (_rank(head["state"]), head["uid"]))
        table(columns, (_row(head, heads) for head in rows), "There are no heads.")
        meta = reply.envelope.get("meta", {})
        if meta.get("problem"):
            print(f"{meta['problem'][0].upper()}{meta['problem'][1:]}.")
        elif meta.get("standing") == "minority":
            print("This head hears too few of the others to judge them: it may itself be the one that is cut off.")
        if reply.stale is not None:
            print(f"The database has no quorum: the list is {reply.stale:.0f} s old, and nothing can be changed.")
    if reply.stale is not None or reply.envelope.get("meta", {}).get("problem"):
        return Exit.DEGRADED
    return _exit(heads)


def show(arguments: argparse.Namespace) -> Exit:
    """Show a head; degraded when it is not up."""
    heads = ask(arguments.agent, "GET", f"/head/{arguments.uid}", doing=f"show the head {arguments.uid}").data
    if arguments.json:
        as_json(heads)
    else:
        rows = [(name, _text(value)) for head in heads.values() for name, value in head.items() if name != "ca_pem"]
        table(("field", "value"), rows, "There is no such head.")
    return _exit(heads)


def evict(arguments: argparse.Namespace) -> Exit:
    """Remove one head, or those that are down; degraded when one was kept."""
    if not arguments.down:
        query = "?force=1" if arguments.force else ""
        route, doing = f"/head/{arguments.uid}{query}", f"remove the head {arguments.uid}"
        reply = ask(arguments.agent, "DELETE", route, doing=doing)
        if arguments.json:
            as_json(reply.data)
        else:
            print(f"Removed {reply.data}")
            _warn(reply)
        return Exit.OK
    query = "?dry_run=1" if arguments.dry_run else ""
    reply = ask(arguments.agent, "DELETE", f"/heads/down{query}", doing="remove the heads that are down")
    kept = reply.envelope.get("kept", [])
    if arguments.json:
        as_json({"removed": reply.data, "kept": kept})
    else:
        verb = "Would remove" if arguments.dry_run else "Removed"
        for head in reply.data:
            print(f"{verb} {head['uid']}  {head['description']}")
        for head in kept:
            print(f"Kept {head['uid']}: {head['reason']}")
        if not reply.data and not kept:
            print("No head is down.")
        _warn(reply)
    return Exit.DEGRADED if kept else Exit.OK


def _warn(reply: Reply) -> None:
    for warning in reply.envelope.get("meta", {}).get("warnings", []):
        print(f"{warning[0].upper()}{warning[1:]}.")


def _row(head: dict[str, Any], heads: dict[str, dict[str, Any]]) -> tuple[Any, ...]:
    heard: dict[str, float] = head["heard_by"]
    others = len(heads.keys() | heard.keys()) - 1  # this head hears others also when it is on no list any more
    by = f"{len(heard)} of {others}, {min(heard.values()):.1f} s ago" if heard else None
    return (*(head[name] for name in ("uid", "state", "last_seen", "since")), by, head["url"], head["description"])


def _text(value: Any) -> str | None:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_text(inner)}" for key, inner in value.items()) or None
    if isinstance(value, list):
        return ", ".join(str(_text(item)) for item in value) or None
    return None if value is None else str(value)


def _rank(state: str) -> int:
    return _WORST_FIRST.index(state) if state in _WORST_FIRST else 0


def _exit(heads: dict[str, dict[str, Any]]) -> Exit:
    return Exit.OK if all(head["state"] == "up" for head in heads.values()) else Exit.DEGRADED

"""cw-headctl heads."""

from __future__ import annotations

import argparse
from typing import Any

from agent.ctl import choice
from agent.ctl.client import Reply, ask
from agent.ctl.outcome import Exit, Failure, Outcome, Plan
from agent.ctl.show import count, sentence

_CUT_OFF = "This head hears too few of the others to judge them: it may itself be the one that is cut off."
_WORST_FIRST = ("down", "unknown", "suspect", "up")
_TIMEOUT = 10.0
"""Seconds after which a head is not heard any more, where an earlier version of the agent does not tell its own."""


def listing(arguments: argparse.Namespace) -> Outcome:
    """List the heads; degraded when one is not up, this one is out of the cluster, or there is no quorum."""
    reply = ask(arguments.agent, "GET", "/heads", doing="list the heads")
    heads: dict[str, dict[str, Any]] = reply.data
    meta = reply.envelope.get("meta", {})
    problem, timeout = meta.get("problem"), float(meta.get("timeout", _TIMEOUT))
    ordered = sorted(heads.values(), key=lambda head: (_rank(head["state"]), head["uid"]))
    lines = []
    if problem:
        lines.append(sentence(problem))
    elif meta.get("standing") == "minority":
        lines.append(_CUT_OFF)
    if reply.stale is not None:
        lines.append(f"The database has no quorum: the list is {reply.stale:.0f} s old, and nothing can be changed.")
    return Outcome(
        heads,
        ("uid", "state", "description", "heard by", "last seen", "since", "url"),
        [_row(head, heads, timeout) for head in ordered],
        "There are no heads.",
        lines,
        Exit.DEGRADED if reply.stale is not None or problem else _exit(heads),
    )


def show(arguments: argparse.Namespace) -> Outcome:
    """Show a head; degraded when it is not up."""
    heads, _ = _one(arguments, f"show the head {arguments.uid}")
    rows = [(name, _text(value)) for head in heads.values() for name, value in head.items() if name != "ca_pem"]
    return Outcome(heads, ("field", "value"), rows, "There is no such head.", exit=_exit(heads))


def down(arguments: argparse.Namespace) -> Outcome:
    """List the heads that are down; degraded when there is one, one of which nothing is known, or no quorum."""
    reply = ask(arguments.agent, "GET", "/heads/down", doing="list the heads that are down")
    meta = reply.envelope.get("meta", {})
    unknown = meta.get("unknown", [])
    lines = [_CUT_OFF] if meta.get("standing") == "minority" else []
    if unknown:
        lines.append(f"It is not known whether these are up: {', '.join(unknown)}.")
    if reply.stale is not None:
        lines.append("The database has no quorum: this is what this head finds by itself, and nothing can be removed.")
    elif reply.data:
        lines.append("What is gone for good is removed with `cw-headctl heads evict --down`; wait for the others.")
    return Outcome(
        reply.data,
        ("uid", "down since", "last seen", "description"),
        [(head["uid"], head["down_since"], head["last_seen"], head["description"]) for head in reply.data],
        "No head is down.",
        lines,
        Exit.DEGRADED if reply.data or unknown or reply.stale is not None else Exit.OK,
    )


def plan_eviction(arguments: argparse.Namespace) -> Plan | Outcome:
    """Which heads would go; nothing to do when none is down."""
    if arguments.down:
        return _plan_for_all_down(arguments)
    doing = f"remove the head {arguments.uid}"
    heads, uid = _one(arguments, doing)
    head = heads[uid]
    told = f"{uid}, {head['description'] or 'without a description'}, {head['state']}"
    lines = [
        f"1 head leaves the cluster for good: {told}.",
        "Its certificate, its tokens and its open connections are worth nothing from then on.",
    ]
    return Plan(doing, {"removed": [head], "kept": []}, lines)


def evict(arguments: argparse.Namespace) -> Outcome:
    """Remove one head, or those that are down; degraded when one was kept."""
    if arguments.down:
        return _evicted(ask(arguments.agent, "DELETE", "/heads/down", doing="remove the heads that are down"))
    uid = arguments.plan["removed"][0]["uid"]
    query = "?force=1" if arguments.force else ""
    reply = ask(arguments.agent, "DELETE", f"/head/{uid}{query}", doing=f"remove the head {uid}")
    return Outcome(reply.data, lines=[f"Removed {reply.data}", *_warnings(reply)])


def _plan_for_all_down(arguments: argparse.Namespace) -> Plan | Outcome:
    doing = "remove the heads that are down"
    reply = ask(arguments.agent, "DELETE", "/heads/down?dry_run=1", doing=doing)
    if not reply.data:
        return _evicted(reply)
    kept = [_kept(head) for head in reply.envelope.get("kept", [])]
    data = {"removed": reply.data, "kept": reply.envelope.get("kept", [])}
    rows = [(head["uid"], head.get("last_seen"), head["description"]) for head in reply.data]
    lines = [
        *kept,
        f"{count(len(rows), 'head')} that {'is' if len(rows) == 1 else 'are'} down would be removed for good.",
    ]
    return Plan(doing, data, lines, ("uid", "last seen", "description"), rows)


def _evicted(reply: Reply) -> Outcome:
    kept = reply.envelope.get("kept", [])
    lines = [f"Removed {head['uid']}  {head['description']}" for head in reply.data]
    lines += [_kept(head) for head in kept]
    if not lines:
        lines.append("No head is down.")
    data = {"removed": reply.data, "kept": kept}
    return Outcome(data, lines=lines + _warnings(reply), exit=Exit.DEGRADED if kept else Exit.OK)


def _kept(head: dict[str, Any]) -> str:
    return f"Kept {head['uid']}: {head['reason']}"


def _one(arguments: argparse.Namespace, doing: str) -> tuple[dict[str, dict[str, Any]], str]:
    """The head that the argument means, as the agent shows it, and its uid."""
    uid = arguments.uid if arguments.uid == "self" else choice.head(arguments.agent, arguments.uid)
    heads: dict[str, dict[str, Any]] = ask(arguments.agent, "GET", f"/head/{uid}", doing=doing).data
    if not heads:
        raise Failure(f"cannot {doing}: the agent tells of none")
    return heads, next(iter(heads))


def _warnings(reply: Reply) -> list[str]:
    return [sentence(warning) for warning in reply.envelope.get("meta", {}).get("warnings", [])]


def _row(head: dict[str, Any], heads: dict[str, dict[str, Any]], timeout: float) -> tuple[Any, ...]:
    heard: dict[str, float] = head["heard_by"]
    others = len(heads.keys() | heard.keys()) - 1  # this head hears others also when it is on no list any more
    last = min(heard.values(), default=0.0)
    by = f"{sum(age < timeout for age in heard.values())} of {others}, {last:.1f} s ago" if heard else None
    if heard and head["state"] == "down":
        by = f"not for {last:.1f} s"
    return (head["uid"], head["state"], head["description"], by, head["last_seen"], head["since"], head["url"])


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

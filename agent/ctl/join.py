"""cw-headctl join and leave."""

from __future__ import annotations

import argparse
import re
import threading
from typing import Any

from agent.ctl.client import Agent, ask
from agent.ctl.outcome import Exit, Failure, Outcome, Plan
from agent.ctl.show import count
from agent.ctl.terminal import say

_LONGEST = 600.0
"""Seconds for a join or a leave: a database engine may have to catch up, or others to be told."""
_PORT = 52390
_LOOK = 0.5
"""Seconds between two looks at how far a join has come."""


def join(arguments: argparse.Namespace) -> Outcome:
    """Have this head join a cluster, telling each step as it comes."""
    body = {
        "url": _url(arguments.url),
        "token": _token(arguments),
        "ca_sha256": arguments.ca_sha256,
        "force": arguments.force,
    }
    ended = threading.Event()
    watching = threading.Thread(target=_tell_progress, args=(arguments.agent, ended))
    if not arguments.json:
        watching.start()
    try:
        data = ask(arguments.agent, "POST", "/head/join", body, doing="join", timeout=_LONGEST).data
    finally:
        ended.set()
        if watching.ident is not None:
            watching.join()
    if data["already"]:
        told = f"This head is a member of the cluster {data['cluster']} already; nothing was changed."
    else:
        told = f"This head is a member of the cluster {data['cluster']} now."
    return Outcome(data, lines=[told])


def plan_leave(arguments: argparse.Namespace) -> Plan | None:
    """What a head gives up that leaves; nothing where it is alone."""
    try:
        heads = len(ask(arguments.agent._replace(head=None), "GET", "/heads", doing="list the heads").data)
    except Failure as failure:
        if failure.status is not Exit.FAILED:
            raise
        heads = None  # it may leave just because its database is lost
    if heads == 1:
        return None
    which = f"The head {arguments.agent.head}" if arguments.agent.head else "This head"
    cluster = f"its cluster of {heads}" if heads else "its cluster"
    lines = [f"{which} leaves {cluster} and goes on alone, with its own copy of the objects."]
    return Plan("leave", {"heads": heads}, lines, word="leave")


def leave(arguments: argparse.Namespace) -> Outcome:
    """Have a head leave its cluster."""
    data = ask(arguments.agent, "POST", "/database/leave", doing="leave", timeout=_LONGEST).data
    lines = [f"{step['step']}: {step['result']}" for step in data["steps"]]
    if data["steps"]:
        remaining = count(len(data["remaining"]), "other head")
        lines.append(f"The head {data['left']} has left {remaining}, and is alone in a new cluster.")
    else:
        lines.append("This head has left before; nothing was changed.")
    return Outcome(data, lines=lines)


def _url(text: str) -> str:
    """Where a head answers, also for somebody who names the head alone."""
    url = (text if "://" in text else f"https://{text}").rstrip("/")
    return url if re.search(r":\d+$", url) else f"{url}:{_PORT}"


def _token(arguments: argparse.Namespace) -> str:
    token = arguments.token or arguments.agent.token
    if not token:
        raise Failure(
            "cannot join: no token: give --token-file what `cw-headctl token --join` prints on a head of the cluster",
            Exit.USAGE,
        )
    if arguments.token:
        say("Every user of this head can see the token in the process list: another time, use --token-file.")
    return str(token)


def _tell_progress(agent: Agent, ended: threading.Event) -> None:
    told = 0
    while not ended.wait(_LOOK):
        try:
            steps: list[dict[str, Any]] = ask(agent, "GET", "/head/join", doing="look how far it is").data or []
        except Failure:
            continue
        for step in steps[told:]:
            say(f"{step['step']} ...")
        told = max(told, len(steps))

"""cw-headctl join and leave."""

from __future__ import annotations

import argparse
import re
import sys
import threading
from pathlib import Path
from typing import Any

from agent.ctl.client import Agent, Exit, Failure, ask
from agent.ctl.confirm import confirm
from agent.ctl.show import as_json

_LONGEST = 600.0
"""Seconds for a join or a leave: a database engine may have to catch up, or others to be told."""
_PORT = 52390
_LOOK = 0.5
"""Seconds between two looks at how far a join has come."""


def join(arguments: argparse.Namespace) -> Exit:
    """Have this head join a cluster, telling each step as it comes."""
    if arguments.agent.head:
        raise Failure("cannot join: only root of the head itself can have it join: log in there", Exit.USAGE)
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
    if arguments.json:
        as_json(data)
    elif data["already"]:
        print(f"This head is a member of the cluster {data['cluster']} already; nothing was changed.")
    else:
        print(f"This head is a member of the cluster {data['cluster']} now.")
    return Exit.OK


def leave(arguments: argparse.Namespace) -> Exit:
    """Have this head leave its cluster, once an operator has said so again."""
    if not arguments.yes:
        _confirm(arguments.agent)
    data = ask(arguments.agent, "POST", "/database/leave", doing="leave", timeout=_LONGEST).data
    if arguments.json:
        as_json(data)
        return Exit.OK
    for step in data["steps"]:
        print(f"{step['step']}: {step['result']}")
    if data["steps"]:
        print(
            f"The head {data['left']} has left {len(data['remaining'])} other head(s), and is alone in a new cluster."
        )
    else:
        print("This head has left before; nothing was changed.")
    return Exit.OK


def _url(text: str) -> str:
    """Where a head answers, also for somebody who names the head alone."""
    url = (text if "://" in text else f"https://{text}").rstrip("/")
    return url if re.search(r":\d+$", url) else f"{url}:{_PORT}"


def _token(arguments: argparse.Namespace) -> str:
    if arguments.token is not None:
        return str(arguments.token)
    try:
        text = sys.stdin.read() if arguments.token_file == "-" else Path(arguments.token_file).read_text("ascii")
    except (OSError, UnicodeDecodeError) as err:
        raise Failure(f"cannot read the token from {arguments.token_file}: {err}", Exit.USAGE) from None
    return text.strip()


def _tell_progress(agent: Agent, ended: threading.Event) -> None:
    told = 0
    while not ended.wait(_LOOK):
        try:
            steps: list[dict[str, Any]] = ask(agent, "GET", "/head/join", doing="look how far it is").data or []
        except Failure:
            continue
        for step in steps[told:]:
            print(f"{step['step']} ...", flush=True)
        told = max(told, len(steps))


def _confirm(agent: Agent) -> None:
    """Raises Failure unless somebody at a terminal says that this head is to leave."""
    heads = ask(agent, "GET", "/heads", doing="list the heads").data
    which = f"The head {agent.head}" if agent.head else "This head"
    confirm(f"{which} leaves its cluster of {len(heads)} and goes on alone, with its own copy of the objects.", "leave")

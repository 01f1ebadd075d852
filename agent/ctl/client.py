"""Asking the agent over its Unix socket, and what an operator is told when that fails."""

from __future__ import annotations

import http.client
import json
import socket
from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import Path
from typing import Any


class Exit(IntEnum):
    """The exit statuses of cw-headctl."""

    OK = 0
    FAILED = 1
    USAGE = 2
    DEGRADED = 3
    UNREACHABLE = 4
    DENIED = 5


class Failure(Exception):
    """A command that cannot be done: one line that says what, why and what to do, and the exit status."""

    def __init__(self, text: str, status: Exit = Exit.FAILED) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Reply:
    """What the agent answered: `data`, and the whole envelope."""

    data: Any
    envelope: dict[str, Any]
    stale: float | None = None
    """Seconds since the database last had its quorum, where what is shown is that old."""


@dataclass(frozen=True, slots=True)
class Agent:
    """Whom a command asks: the agent behind a socket or, through it, the agent of another head."""

    socket: Path
    head: str | None = None
    """The uid of that other head."""


def ask(agent: Agent, method: str, route: str, body: Any = None, *, doing: str, timeout: float = 300.0) -> Reply:
    """Ask the agent; raises Failure, in which `doing` completes "cannot ..."."""
    path = agent.socket
    headers = {"X-Head": agent.head} if agent.head else {}
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.sock.settimeout(timeout)
        connection.sock.connect(str(path))
        connection.request(method, f"/api/v1{route}", None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        status, text, stale = response.status, response.read(), response.getheader("X-Stale")
    except PermissionError:
        raise Failure(
            f"cannot {doing}: {path} is not open to you: become root, or a member of the group clusterware-admin",
            Exit.DENIED,
        ) from None
    except (OSError, http.client.HTTPException) as err:
        why = getattr(err, "strerror", None) or str(err) or "no answer"
        raise Failure(
            f"cannot {doing}: no agent answers on {path} ({why}): see `systemctl status clusterware-head-agent`",
            Exit.UNREACHABLE,
        ) from None
    finally:
        connection.close()
    reply = _reply(status, text, doing, agent.head)
    return replace(reply, stale=float(stale)) if stale else reply


def _reply(status: int, text: bytes, doing: str, head: str | None) -> Reply:
    try:
        envelope = json.loads(text)
        reason = envelope.get("reason", "").removeprefix(f"cannot {doing}: ")
    except (ValueError, AttributeError):
        raise Failure(f"cannot {doing}: what answered is not the agent (HTTP {status}): check --socket") from None
    verb = doing.partition(" ")[0]
    whole = reason if reason.startswith(f"cannot {verb}") else f"cannot {doing}: {reason}"
    if status == 401 and head:
        raise Failure(f"cannot {doing} of another head: that needs a token there, or root: log in there", Exit.DENIED)
    if status in (401, 403):
        raise Failure(whole, Exit.DENIED)
    if status >= 400:
        raise Failure(whole)
    return Reply(envelope.get("data"), envelope)

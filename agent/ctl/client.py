"""Asking the agent over its Unix socket, and what an operator is told when that fails."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Collection
from typing import Any, NamedTuple

from agent.ctl.outcome import Exit, Failure
from agent.ctl.terminal import say
from agent.ctl.waiting import Progress, waiting

LONG = 300.0
"""Seconds that an answer may take where neither the command nor --timeout says otherwise."""

LOOK = ": see `cw-headctl doctor`"
"""What to do where no agent answers."""


_STATUSES = {401: Exit.DENIED, 403: Exit.DENIED, 422: Exit.USAGE}
"""What a refusal means for whoever typed it; any other is a failure."""


class Reply(NamedTuple):
    """What the agent answered: `data`, and the whole envelope."""

    data: Any
    envelope: dict[str, Any]
    stale: float | None = None
    """Seconds since the database last had its quorum, where what is shown is that old."""


class Agent(NamedTuple):
    """Whom a command asks: the agent behind a socket or, through it, the agent of another head."""

    socket: str
    head: str | None = None
    """The uid of that other head."""
    token: str | None = None
    """Opens the token routes of that other head."""
    permission: str = "HeadsRead"
    """What such a token has to permit, separated by commas."""
    timeout: float | None = None
    """Seconds that the operator allows for each answer."""

    @property
    def where(self) -> str:
        """Which head is meant, in a sentence."""
        return f"the head {self.head}" if self.head else "this head"


def ask(
    agent: Agent,
    method: str,
    route: str,
    body: Any = None,
    *,
    doing: str,
    timeout: float = LONG,
    partial: Collection[int] = (),
    progress: Progress | None = None,
) -> Reply:
    """Ask the agent; raises Failure, in which `doing` completes "cannot ...".

    `progress` tells how much of how much is done, where the agent can; a person at a terminal sees it.
    `partial`: the HTTP statuses at which a list of what was done and what was not is an answer and no failure.
    """
    connection = http.client.HTTPConnection("localhost")
    try:
        with waiting(doing, progress):
            response = send(connection, agent, method, route, body, timeout=timeout)
            text = response.read()
    except (OSError, http.client.HTTPException) as err:
        raise unreachable(err, agent, doing, timeout) from None
    except KeyboardInterrupt:
        if method != "GET":
            say(f"cw-headctl: interrupted: the agent may go on to {doing} all the same: look before you try again")
        raise
    finally:
        connection.close()
    stale = response.getheader("X-Stale")
    envelope = read(response.status, text, doing)
    if response.status not in partial or not isinstance(envelope.get("data"), list):
        check(response.status, envelope, doing, agent)
    reply = Reply(envelope.get("data"), envelope)
    return reply._replace(stale=float(stale)) if stale else reply


def send(
    connection: http.client.HTTPConnection,
    agent: Agent,
    method: str,
    route: str,
    body: Any = None,
    *,
    timeout: float = LONG,
) -> http.client.HTTPResponse:
    """Send a request on a connection and wait for the answer's beginning; raises OSError or HTTPException."""
    headers = {"X-Head": agent.head} if agent.head else {}
    if agent.head and agent.token:
        headers["Authorization"] = f"Bearer {agent.token}"
    connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.sock.settimeout(agent.timeout or timeout)
    connection.sock.connect(agent.socket)
    content = body if body is None or isinstance(body, bytes) else json.dumps(body)
    connection.request(method, f"/api/v1{route}", content, headers)
    return connection.getresponse()


def unreachable(err: OSError | http.client.HTTPException, agent: Agent, doing: str, timeout: float = LONG) -> Failure:
    """What to tell an operator when no answer came."""
    if isinstance(err, PermissionError):
        return Failure(
            f"cannot {doing}: {agent.socket} is not open to you: become root, "
            "or a member of the group clusterware-admin",
            Exit.DENIED,
        )
    if isinstance(err, TimeoutError):
        return Failure(
            f"cannot {doing}: no answer within {agent.timeout or timeout:g} s, and the agent may still be at it: "
            "see `cw-headctl doctor`, or allow more with --timeout",
            Exit.UNREACHABLE,
        )
    why = getattr(err, "strerror", None) or str(err) or "no answer"
    return Failure(
        f"cannot {doing}: no agent answers on {agent.socket} ({why}){LOOK}",
        Exit.UNREACHABLE,
    )


def read(status: int, text: bytes, doing: str) -> dict[str, Any]:
    """The envelope of an answer; raises Failure when it is none."""
    try:
        envelope = json.loads(text)
    except ValueError:
        envelope = None
    if not isinstance(envelope, dict):
        raise Failure(f"cannot {doing}: what answered is not the agent (HTTP {status}): check --socket")
    return envelope


def check(status: int, envelope: dict[str, Any], doing: str, agent: Agent) -> None:
    """Raises Failure when the agent could not, or would not."""
    if status < 400:
        return
    reason = str(envelope.get("reason") or "the agent gives no reason")
    for beginning in (f"cannot {doing}: ", "cannot do that: "):
        reason = reason.removeprefix(beginning)
    verb = doing.partition(" ")[0]
    if len(told := envelope.get("errors") or []) and not any(str(e.get("reason")) in reason for e in told):
        reason += ": " + "; ".join(str(e.get("reason")) for e in told[:3])
    whole = reason if reason.startswith(f"cannot {verb}") else f"cannot {doing}: {reason}"
    if status == 401 and agent.head and not agent.token:
        raise Failure(f"cannot {doing} of another head: {token_wanted(agent.permission)}", Exit.DENIED)
    if agent.head and envelope.get("code") == "unreachable":
        whole += ": look at `systemctl status clusterware-head-agent` there, and at `cw-headctl heads` here"
        raise Failure(whole, Exit.UNREACHABLE)
    from agent.ctl import phrases  # only for failures

    whole = phrases.in_commands(whole)
    if status >= 500 and "`" not in whole:
        whole += f": see `cw-headctl --head {agent.head} doctor`" if agent.head else LOOK
    raise Failure(whole, _STATUSES.get(status, Exit.FAILED))


def token_wanted(permission: str) -> str:
    """What opens a token route of another head."""
    return (
        "that wants a token: log in there, or have root make one here, "
        f"`cw-headctl token --lifespan 5min --permissions {permission}`, and pass it with --token-file"
    )

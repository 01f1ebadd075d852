"""cw-headctl token."""

from __future__ import annotations

import argparse
import base64
import hashlib
import re
import shlex

from agent.ctl.client import ask
from agent.ctl.outcome import Exit, Failure, Outcome

_JOIN = {"lifespan": "1h", "permissions": ["HeadsJoin"], "subject": "join"}
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)


def make(arguments: argparse.Namespace) -> Outcome:
    """Make a token and print it, and nothing else, so that it can be captured."""
    if arguments.join:
        return _invite(arguments)
    if not arguments.lifespan:
        raise Failure("cannot make a token: say with --lifespan how long it is to be valid", Exit.USAGE)
    permissions = [name for name in arguments.permissions.replace(",", " ").split() if name]
    body = {"lifespan": arguments.lifespan, "permissions": permissions}
    if arguments.subject:
        body["subject"] = arguments.subject
    data = ask(arguments.agent, "POST", "/head/token", body, doing="make a token").data
    return Outcome(data, lines=[data["token"]])


def _invite(arguments: argparse.Namespace) -> Outcome:
    """Print the command that has another head join this one's cluster."""
    doing = "make the command that has a head join"
    told = ask(arguments.agent, "GET", "/head/self", doing=doing)
    own = next(iter(told.data.values()))
    if not own["url"]:
        raise Failure(f"cannot {doing}: others cannot reach this head: see [api] listen and url in its configuration")
    if told.stale is not None:
        raise Failure(
            f"cannot {doing}: the database has no quorum, so no head can join: "
            "bring its members back first, as `cw-headctl status` says"
        )
    ca_pem = ask(arguments.agent, "GET", "/head/peerurl", doing=doing).data["ca_pem"]
    body = {**_JOIN, **({"lifespan": arguments.lifespan} if arguments.lifespan else {})}
    made = ask(arguments.agent, "POST", "/head/token", body, doing=doing).data
    invitation = {"url": own["url"], "token": made["token"], "ca_sha256": _sha256(ca_pem), "expires": made["expires"]}
    # Not as an argument, which every user could read: echo is the shell's own and no process.
    # Records and tokens are what an agent says, and this is for root's shell.
    join = f"cw-headctl join {shlex.quote(invitation['url'])} --ca-sha256 {invitation['ca_sha256']} --token-file -"
    return Outcome(invitation, lines=[f"echo {shlex.quote(invitation['token'])} | {join}"])


def _sha256(ca_pem: str) -> str:
    """SHA-256, in hex, of the first certificate's DER: the CA that issues."""
    found = _CERTIFICATE.search(ca_pem)
    if found is None:
        raise Failure("cannot tell the hash of the CA: this head shows none")
    return hashlib.sha256(base64.b64decode(found.group(1))).hexdigest()

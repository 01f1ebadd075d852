"""cw-headctl ca."""

from __future__ import annotations

import argparse

from agent.ctl.client import ask
from agent.ctl.outcome import Exit, Outcome, Plan
from agent.ctl.progress import CA, progress
from agent.ctl.show import count

_LONGEST = 900.0
"""Seconds for an exchange: each head's engine restarts in its turn."""


def show(arguments: argparse.Namespace) -> Outcome:
    """Which CAs this head believes."""
    data = ask(arguments.agent, "GET", "/head/ca", doing="read which CAs are believed").data
    rows = [(role, data[role]) for role in ("issuing", "next", "former") if data.get(role)]
    exchanging = data.get("next") or data.get("former")
    columns = ("role", "sha-256 of the certificate")
    return Outcome(data, columns, rows, "This head has no CA.", exit=Exit.DEGRADED if exchanging else Exit.OK)


def plan_rotation(arguments: argparse.Namespace) -> Plan | None:
    """What an exchange does; nothing where the database's quorum is away, so that it will be refused."""
    doing = "exchange the cluster's CA"
    reply = ask(arguments.agent, "GET", "/heads", doing=doing)
    if reply.stale is not None:
        return None
    lines = [
        f"{count(len(reply.data), 'head')} of this cluster will get certificates of a new CA, one after the other; "
        "all must be up.",
        "On etcd each one's member restarts; requests are answered meanwhile. Cut off, it goes on when repeated.",
    ]
    return Plan(doing, {"heads": sorted(reply.data)}, lines, by_program=True)


def rotate(arguments: argparse.Namespace) -> Outcome:
    """Exchange the cluster's CA on all heads."""
    doing = "exchange the cluster's CA"
    look = progress(arguments.agent, CA)
    data = ask(arguments.agent, "POST", "/heads/ca/rotate", {}, doing=doing, timeout=_LONGEST, progress=look).data
    heads = len(data["heads"])
    believers = f"{count(heads, 'head')} {'believes' if heads == 1 else 'believe'}"
    lines = [
        f"{believers} the new CA alone; its SHA-256 is {data['ca_sha256']}.",
        "Whoever holds the former CA's key can open nothing any more.",
    ]
    return Outcome(data, lines=lines)

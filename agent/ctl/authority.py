"""cw-headctl ca."""

from __future__ import annotations

import argparse

from agent.ctl.client import ask
from agent.ctl.outcome import Exit, Outcome
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


def rotate(arguments: argparse.Namespace) -> Outcome:
    """Exchange the cluster's CA on all heads."""
    doing = "exchange the cluster's CA"
    data = ask(arguments.agent, "POST", "/heads/ca/rotate", {}, doing=doing, timeout=_LONGEST).data
    heads = len(data["heads"])
    believers = f"{count(heads, 'head')} {'believes' if heads == 1 else 'believe'}"
    lines = [
        f"{believers} the new CA alone; its SHA-256 is {data['ca_sha256']}.",
        "Whoever holds the former CA's key can open nothing any more.",
    ]
    return Outcome(data, lines=lines)

"""cw-headctl ca."""

from __future__ import annotations

import argparse

from agent.ctl.client import Exit, ask
from agent.ctl.show import as_json, table


def show(arguments: argparse.Namespace) -> Exit:
    """Which CAs this head believes."""
    data = ask(arguments.agent, "GET", "/head/ca", doing="read which CAs are believed").data
    if arguments.json:
        as_json(data)
    else:
        rows = [(role, data[role]) for role in ("issuing", "next", "former") if data.get(role)]
        table(("role", "sha-256 of the certificate"), rows, "This head has no CA.")
    return Exit.DEGRADED if data.get("next") or data.get("former") else Exit.OK


def rotate(arguments: argparse.Namespace) -> Exit:
    """Exchange the cluster's CA on all heads."""
    data = ask(arguments.agent, "POST", "/heads/ca/rotate", {}, doing="exchange the cluster's CA", timeout=900.0).data
    if arguments.json:
        as_json(data)
    else:
        print(f"{len(data['heads'])} head(s) believe the new CA alone; its SHA-256 is {data['ca_sha256']}.")
        print("Whoever holds the former CA's key can open nothing any more.")
    return Exit.OK

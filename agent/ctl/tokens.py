"""cw-headctl token."""

from __future__ import annotations

import argparse

from agent.ctl.client import Exit, ask
from agent.ctl.show import as_json


def make(arguments: argparse.Namespace) -> Exit:
    """Make a token and print it, and nothing else, so that it can be captured."""
    permissions = [name for name in arguments.permissions.replace(",", " ").split() if name]
    body = {"lifespan": arguments.lifespan, "permissions": permissions}
    if arguments.subject:
        body["subject"] = arguments.subject
    data = ask(arguments.socket, "POST", "/head/token", body, doing="make a token").data
    if arguments.json:
        as_json(data)
    else:
        print(data["token"])
    return Exit.OK

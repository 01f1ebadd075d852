"""Asking the agent how far it has come with long work."""

from __future__ import annotations

from agent.ctl.client import Agent, ask
from agent.ctl.outcome import Exit, Failure
from agent.ctl.waiting import Done, Progress

DATABASE = "/database/progress"
FILES = "/head/files/progress"
CA = "/heads/ca/rotate"
_HERE = (DATABASE, CA)
"""Only a head itself tells these."""


def progress(agent: Agent, route: str) -> Progress | None:
    """What tells how far that work has come, for `ask`; None where nobody does. It gives up where it is refused."""
    if agent.head and route in _HERE:
        return None
    refused: list[Failure] = []

    def look() -> Done | None:
        if refused:
            return None
        try:
            data = ask(agent._replace(timeout=None), "GET", route, doing="look how far it is", timeout=5.0).data
        except Failure as failure:
            if failure.status is not Exit.UNREACHABLE:
                refused.append(failure)
            return None
        return Done(data["done"], data["total"], data.get("step", "")) if data else None

    return look

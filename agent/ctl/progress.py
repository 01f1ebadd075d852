"""Asking the agent how far it has come with long work."""

from __future__ import annotations

from agent.ctl.client import Agent, ask
from agent.ctl.outcome import Failure


def progress(agent: Agent) -> tuple[int, int] | None:
    """How far a load or a clean of this head has come; None where nobody knows."""
    if agent.head:
        return None  # only a head itself tells
    try:
        data = ask(agent, "GET", "/database/progress", doing="look how far it is", timeout=5.0).data
    except Failure:
        return None
    return (data["done"], data["total"]) if data else None

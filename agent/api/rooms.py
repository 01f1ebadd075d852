"""The rooms that handlers may enter, built once by `app.py`."""

from __future__ import annotations

from dataclasses import dataclass

from agent.config import Live
from agent.loops import Loops


@dataclass(frozen=True, slots=True)
class Rooms:
    """Everything behind the HTTP interface, by name."""

    live: Live
    loops: Loops

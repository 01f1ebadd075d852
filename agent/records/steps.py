"""The steps of something long: what is being done now, and how each one before it went."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import Struct


class Step(Struct):
    """One step; `result` is `running` until it ended, then `done`, `failed`, or a word of what came of it."""

    step: str
    result: str = "running"


class Steps:
    """The steps so far, in order."""

    def __init__(self) -> None:
        self.all: list[Step] = []

    @contextmanager
    def doing(self, name: str) -> Iterator[Step]:
        """Around the work of one step; what is raised inside is its failure."""
        step = Step(name)
        self.all.append(step)
        try:
            yield step
        except BaseException:
            step.result = "failed"
            raise
        if step.result == "running":
            step.result = "done"

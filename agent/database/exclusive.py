"""One piece of database work at a time: a clean, a backup, a restore."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from agent.errors import Conflict


class Exclusive:
    """Lets one piece of work in and turns the next away, rather than have it wait behind a long one."""

    def __init__(self) -> None:
        self._under_way: str | None = None

    @contextmanager
    def doing(self, work: str) -> Iterator[None]:
        """Do `work` (a phrase such as "restore a backup") alone; raises Conflict, code `busy`, when it cannot."""
        if self._under_way is not None:
            reason = f"cannot {work}: another request, to {self._under_way}, is under way; try again when it is done"
            raise Conflict(reason, code="busy")
        self._under_way = work
        try:
            yield
        finally:
            self._under_way = None

"""The loops: started together, ended together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from agent.loops import lasting

Work = Callable[[], Coroutine[Any, Any, object]]
"""What has been built and not started."""


class Background:
    """The loops. They outlive the listeners, as requests in flight still need them; a bug in one ends the process, and
    so does the end of one that nobody stopped.
    """

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._tasks: list[asyncio.Task[object]] = []

    def start(self, *works: Work) -> None:
        """Have these loops run until `stop`."""
        self._tasks += [self._group.create_task(lasting(work)) for work in works]

    def do(self, *works: Work) -> None:
        """Have these run until they are done, or until `stop`."""
        self._tasks += [self._group.create_task(work()) for work in works]

    def stop(self) -> None:
        """Cancel them all."""
        for task in self._tasks:
            task.cancel()

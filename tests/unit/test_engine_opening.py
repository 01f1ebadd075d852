"""An engine that is being opened, and whoever waits for it goes away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from typing_extensions import override

from agent.adapters.etcd.choice import Choice
from agent.adapters.etcd.opening import Opener
from agent.config import Config
from agent.loops import Loops
from tests.support.clock import StillClock


class Watched(Opener):
    """Opens something that says when it is open, and notes that it was closed."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        super().__init__(group, Config(), StillClock(), lambda: None, lambda: "", Loops(), 5)
        self.opening: asyncio.Task[object] | None = None
        self.events: list[str] = []

    @override
    @asynccontextmanager
    async def _sqlite(self) -> AsyncIterator[Any]:
        assert self.opening is not None
        asyncio.get_running_loop().call_soon(self.opening.cancel)  # before it hears that this is open
        self.events.append("open")
        try:
            yield None, None, None
        finally:
            self.events.append("closed")


async def test_an_engine_that_opens_just_as_nobody_waits_for_it_any_more_is_closed() -> None:
    """Else its task would never end, and the agent not stop."""
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        opener = Watched(group)
        opener.opening = cast("asyncio.Task[object]", asyncio.ensure_future(opener.open(Choice())))
        with pytest.raises(asyncio.CancelledError):
            await opener.opening
    assert opener.events == ["open", "closed"]

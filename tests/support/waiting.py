"""Waiting for what others do, without guessing how long that takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def wait_for(condition: Callable[[], object], *, seconds: float = 30.0) -> None:
    """Wait until a condition that nothing signals is true; raises TimeoutError after `seconds`."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  nothing signals it
            await asyncio.sleep(0.01)

"""The next leader, for whoever waits on account of the last one.

What was on its way to a leader that hangs or dies is never answered, also not once there is another. So while an answer
is late the members are asked, each about itself alone, whether they know a newer one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from agent.adapters.etcd.wire import Status

LATE = 0.25
"""Seconds after which an answer is late: hardly a disk takes as long."""
LOOK = 0.25
"""Seconds that a member has to tell of itself."""
_PAUSE = 0.1

Ask = Callable[[str], Awaitable[Status | None]]
"""How the member at that URL is, as far as it says so within `LOOK` seconds."""


async def next_leader(url: str, others: Sequence[str], term: int, ask: Ask) -> bool:
    """Wait, for ever if need be, until the member at `url` knows a leader of a later term than `term`: True.

    False once another one does, and that member does not answer. Who does not is not asked again. With `term` 0, no
    leader being known yet, none is a later one.
    """
    await asyncio.sleep(LATE)
    asked = [url, *(other for other in others if other != url)]
    while True:
        answers = await asyncio.gather(*(ask(one) for one in asked))
        told = {one: status for one, status in zip(asked, answers, strict=True) if status is not None}
        knowing = {one for one, status in told.items() if status.leader and status.header.raft_term > term > 0}
        if url in knowing:
            return True
        if knowing and url not in told:
            return False
        asked = list(told)
        await asyncio.sleep(_PAUSE)

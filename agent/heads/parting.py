"""When a head says that it leaves."""

from __future__ import annotations

import structlog

from agent.errors import NotFound, Stale
from agent.heads.registry import HeadRegistry
from agent.heads.tombstones import burial
from agent.model import Departure, Kind, rfc3339
from agent.ports import Clock, Store
from agent.records import until_settled

log = structlog.get_logger()


class Parting:
    """Takes heads off the list at their own wish: nobody can say it of another."""

    def __init__(self, store: Store, registry: HeadRegistry, clock: Clock) -> None:
        self._store = store
        self._registry = registry
        self._clock = clock

    async def farewell(self, uid: str) -> None:
        """That head leaves: a tombstone takes its record's place; one that is gone is fine. Raises Unavailable."""

        async def attempt() -> None:
            record = await self._store.get(Kind.HEAD, uid)
            if record is None:
                return
            changes = await burial(self._store, record, Departure.LEFT, rfc3339(self._clock.now()))
            try:
                await self._store.commit(*changes)
            except NotFound as err:
                raise Stale("the record has gone in between") from err
            log.warning("Head left", head_uid=uid, description=record.body.get("description", ""))

        await until_settled(attempt)
        await self._registry.load()

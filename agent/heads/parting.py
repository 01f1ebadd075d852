"""When a head says that it leaves."""

from __future__ import annotations

import structlog

from agent.errors import NotFound, Stale
from agent.heads.record import HEADS
from agent.heads.registry import HeadRegistry
from agent.model import Departure, Kind, Tombstone, rfc3339
from agent.ports import Change, Clock, Delete, Put, Store
from agent.records import until_settled
from agent.records.spec import plain

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
            body = HEADS.view(record)
            kept = {name: body[name] for name in ("generation", "ca_pem", "description", "addresses")}
            tombstone = Tombstone(Departure.LEFT, rfc3339(self._clock.now()), **kept)
            changes: list[Change] = [
                Delete(Kind.HEAD, uid, record.revision),
                Put(Kind.TOMBSTONE, uid, plain(tombstone)),
            ]
            if (verdict := await self._store.get(Kind.VERDICT, uid)) is not None:
                changes.append(Delete(Kind.VERDICT, uid, verdict.revision))
            try:
                await self._store.commit(*changes)
            except NotFound as err:
                raise Stale("the record has gone in between") from err
            log.warning("Head left", head=uid, description=record.body.get("description", ""))

        await until_settled(attempt)
        await self._registry.load()

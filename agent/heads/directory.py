"""The standard verbs on heads, and the removal of those that are down."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from agent.errors import Conflict, NotFound, Stale
from agent.heads import audit
from agent.heads.liveness import Condition, Outlook, Standing, State, Watch
from agent.heads.record import HEADS
from agent.heads.registry import HeadRegistry
from agent.model import Departure, Kind, Record, Tombstone, rfc3339
from agent.ports import ABSENT, Change, Clock, Delete, Put, Store
from agent.records import Records, put, until_settled
from agent.records.spec import Body, plain

SELF = "self"
"""Names this head in a path, in place of its uid."""


class Eviction(NamedTuple):
    """What removing the heads that are down did, or would do."""

    removed: list[dict[str, Any]]
    kept: list[dict[str, Any]]


class HeadDirectory:
    """The heads' records with their states. A change is in the registry's snapshot before it is answered."""

    def __init__(self, store: Store, registry: HeadRegistry, clock: Clock, watch: Watch) -> None:
        self._store = store
        self._registry = registry
        self._clock = clock
        self._watch = watch
        self._records = Records(store, HEADS, audit.changed)

    @property
    def self_uid(self) -> str:
        """This head's uid."""
        return self._registry.self_uid

    def outlook(self) -> Outlook:
        """Who is up and who is not, as far as this head can tell; raises Unavailable."""
        return self._watch(self._registry.members, self._clock.now())

    async def all(self) -> dict[str, Body]:
        """Every head as it is shown, by uid."""
        shown = await self._records.all()
        conditions = self.outlook().conditions
        return {uid: {**body, **_state(conditions.get(uid))} for uid, body in shown.items()}

    async def get(self, uid: str) -> Record:
        """One head's record; raises NotFound."""
        return await self._records.get(self._uid(uid))

    def view(self, record: Record) -> Body:
        """The record as it is shown, with the head's state."""
        return {**HEADS.view(record), **_state(self.outlook().conditions.get(record.uid))}

    async def register(self, body: Body) -> Record:
        """Create a head's record; one that comes back after it was removed gets a higher generation.

        Raises Invalid, or Conflict when the uid is taken.
        """
        uid, fields = HEADS.read_new(body)

        async def attempt() -> Record:
            tombstone = await self._store.get(Kind.TOMBSTONE, str(uid))
            generation = msgspec.convert(tombstone.body, Tombstone).generation + 1 if tombstone else 1
            head = {**fields, "joined": rfc3339(self._clock.now()), "generation": generation}
            changes: list[Change] = [put(HEADS, str(uid), head, ABSENT)]
            if tombstone:
                changes.append(Delete(Kind.TOMBSTONE, tombstone.uid, tombstone.revision))
            try:
                return Record(Kind.HEAD, str(uid), await self._store.commit(*changes), head)
            except NotFound as err:
                raise Stale("the tombstone has gone in between") from err

        record = await until_settled(attempt)
        audit.registered(record)
        await self._registry.load()
        return record

    async def patch(self, uid: str, body: Body, expect: int | None = None) -> Record:
        """Change some fields; raises NotFound, Invalid, Stale."""
        record = await self._records.patch(self._uid(uid), body, expect)
        await self._registry.load()
        return record

    async def replace(self, uid: str, body: Body, expect: int | None = None) -> Record:
        """Change all fields that can be set; raises as `patch` does."""
        record = await self._records.replace(self._uid(uid), body, expect)
        await self._registry.load()
        return record

    async def remove(self, uid: str, expect: int | None = None) -> Record:
        """Take a head out of the cluster, leaving a tombstone; raises Conflict for this head, NotFound, Stale."""
        uid = self._uid(uid)
        if uid == self.self_uid:
            raise Conflict("cannot remove this head itself: have it leave, with POST /database/leave", code="self")

        async def attempt() -> Record:
            record = await self._records.expected(uid, expect)
            tombstone = plain(self._tombstone(record))
            await self._store.commit(Delete(Kind.HEAD, uid, record.revision), Put(Kind.TOMBSTONE, uid, tombstone))
            return record

        record = await until_settled(attempt, expect)
        audit.removed(record)
        await self._registry.load()
        return record

    def down(self) -> list[dict[str, Any]]:
        """The heads that are down, for people to read; never this one."""
        heads = self._registry.members.heads
        return [
            {
                "uid": uid,
                "description": heads[uid].description,
                "state": condition.state,
                "last_seen": condition.last_seen,
                "down_since": condition.since,
            }
            for uid, condition in self.outlook().conditions.items()
            if condition.state is State.DOWN and uid in heads and uid != self.self_uid
        ]

    async def remove_down(self, *, dry_run: bool = False) -> Eviction:
        """Remove the heads that are down, and tell why each other one that is not up stays.

        Raises Conflict in the minority: then nothing is removed.
        """
        outlook = self.outlook()
        if outlook.standing is Standing.MINORITY:
            raise Conflict(
                "cannot remove heads: this head does not hear the larger part of the cluster, so it may itself be the "
                "one that is cut off. Ask a head of that part, or remove a head that you know to be gone with "
                "DELETE /head/<uid>",
                code="minority",
            )
        down = self.down()
        kept = [
            {"uid": uid, "reason": f"its state is {condition.state}, and only a head that is down is removed"}
            for uid, condition in outlook.conditions.items()
            if condition.state in (State.SUSPECT, State.UNKNOWN)
        ]
        if dry_run:
            return Eviction(down, kept)
        return Eviction([gone for gone in down if await self._is_removed(gone["uid"])], kept)

    async def _is_removed(self, uid: str) -> bool:
        try:
            await self.remove(uid)
        except NotFound:  # somebody else was faster
            return False
        return True

    def _uid(self, uid: str) -> str:
        return self.self_uid if uid == SELF else uid

    def _tombstone(self, record: Record) -> Tombstone:
        body = HEADS.view(record)
        kept = {name: body[name] for name in ("generation", "ca_pem", "description", "addresses")}
        return Tombstone(Departure.REMOVED, rfc3339(self._clock.now()), **kept)


def _state(condition: Condition | None) -> Body:
    """A head's state as fields beside its record's; of one that has just come, nothing is known."""
    shown: Body = plain(condition or Condition(State.UNKNOWN))
    return shown

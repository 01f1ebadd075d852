"""The standard verbs on heads, and the removal of those that are down."""

from __future__ import annotations

from typing import Any

from agent.config import Live
from agent.errors import Conflict, NotFound, Stale
from agent.heads import audit
from agent.heads.eviction import Eviction, Limits, check_quorum, check_standing, reason_to_keep
from agent.heads.liveness import Condition, Outlook, State, Watch
from agent.heads.record import HEADS, warnings
from agent.heads.registry import HeadRegistry
from agent.heads.tombstones import burial, revival
from agent.model import Departure, Kind, Record, rfc3339
from agent.ports import ABSENT, Clock, ClusterEngine, Store
from agent.records import Records, put, until_settled
from agent.records.spec import Body, plain

SELF = "self"
"""Names this head in a path, in place of its uid."""


class HeadDirectory:
    """The heads' records with their states. A change is in the registry's snapshot before it is answered."""

    def __init__(
        self,
        store: Store,
        registry: HeadRegistry,
        clock: Clock,
        watch: Watch,
        live: Live,
        engine: ClusterEngine | None = None,
    ) -> None:
        self._store = store
        self._registry = registry
        self._clock = clock
        self._watch = watch
        self._live = live
        self._engine = engine
        self._records = Records(store, HEADS, audit.changed)

    @property
    def self_uid(self) -> str:
        """This head's uid."""
        return self._registry.self_uid

    @property
    def problem(self) -> str | None:
        """That this head is out of its cluster, and what to do; None while it is in."""
        return self._registry.problem

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

    def warnings(self, record: Record) -> list[str]:
        """What an operator should know of a record that is allowed all the same; raises Unavailable."""
        others = {uid: head for uid, head in self._registry.members.heads.items() if uid != record.uid}
        return warnings(record.body, others)

    async def register(self, body: Body) -> Record:
        """Create a head's record; one that comes back after it was removed gets a higher generation.

        Raises Invalid, or Conflict when the uid is taken.
        """
        uid, fields = HEADS.read_new(body)

        async def attempt() -> Record:
            generation, gone = await revival(self._store, str(uid))
            head = {**fields, "joined": rfc3339(self._clock.now()), "generation": generation}
            try:
                return Record(
                    Kind.HEAD, str(uid), await self._store.commit(put(HEADS, str(uid), head, ABSENT), *gone), head
                )
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

    async def remove(
        self, uid: str, expect: int | None = None, *, force: bool = False, only_down: bool = False
    ) -> Record:
        """Take a head out of the cluster, leaving a tombstone; `force` has it done also in the minority.

        Raises NotFound, Stale, Unavailable without the database's quorum, and Conflict: for this head itself, in the
        minority, when the database's engine cannot do without that head now or, with `only_down`, for one that is not
        down any more when it comes to it: the engine's members were asked meanwhile, and the dead do not answer.
        """
        uid = self._uid(uid)
        if uid == self.self_uid:
            leave = "have it leave, with `cw-headctl leave` or POST /database/leave"
            raise Conflict(f"cannot remove this head itself: {leave}", code="self")
        check_quorum(self._store.age)
        if not force:
            check_standing(self.outlook().standing)
        await self._records.expected(uid, expect)
        if self._engine is not None and (objection := await self._engine.objection(uid)):
            raise Conflict(f"cannot remove the head {uid}: {objection}", code="quorum")

        async def attempt() -> Record:
            record = await self._records.expected(uid, expect)
            changes = await burial(self._store, record, Departure.REMOVED, rfc3339(self._clock.now()))
            if only_down:
                self._check_down(uid)
            try:
                await self._store.commit(*changes)
            except NotFound as err:
                raise Stale("the head, or the verdict on it, has gone in between") from err
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

        Raises Conflict in the minority, Unavailable without the database's quorum: then nothing is removed.
        """
        check_quorum(self._store.age)
        outlook, result = self.outlook(), Eviction([], [])
        check_standing(outlook.standing)
        down = {row["uid"]: row for row in self.down()}
        for uid, condition in outlook.conditions.items():
            if uid == self.self_uid or condition.state is State.UP:
                continue
            reason = reason_to_keep(uid, outlook, self._limits)
            if reason is not None:
                result.kept.append({"uid": uid, "reason": reason})
            elif uid in down and (dry_run or await self._is_removed(uid, result)):
                result.removed.append(down[uid])
        return result

    async def _is_removed(self, uid: str, result: Eviction) -> bool:
        try:
            await self.remove(uid, only_down=True)
        except NotFound:  # somebody else was faster
            return False
        except Conflict as err:
            result.kept.append({"uid": uid, "reason": err.reason})
            return False
        return True

    def _check_down(self, uid: str) -> None:
        outlook = self.outlook()
        check_standing(outlook.standing)
        if reason := reason_to_keep(uid, outlook, self._limits):
            raise Conflict(reason)

    @property
    def _limits(self) -> Limits:
        config = self._live.config
        return Limits(config.heads.evict_after, config.heartbeat.suspect)

    def _uid(self, uid: str) -> str:
        return self.self_uid if uid == SELF else uid


def _state(condition: Condition | None) -> Body:
    """A head's state as fields beside its record's; of one that has just come, nothing is known."""
    shown: Body = plain(condition or Condition(State.UNKNOWN))
    return shown

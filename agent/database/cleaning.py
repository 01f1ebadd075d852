"""Cleaning the database: what would be done is shown first, and done only behind a backup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog
from msgspec import Struct
from msgspec.structs import replace

from agent.config import Live
from agent.database.backups import Backup, Backups, surplus
from agent.database.findings import file_uses, missing_files, missing_images
from agent.database.plan import Seen, What, decide, digest, subject, why_forget
from agent.errors import AgentError, Conflict, Unavailable
from agent.model import OBJECT_KINDS, CleanAction, Finding, Kind, Progress
from agent.ports import Clock, Delete, Leftover, Store, StoreEngine, StoreHousekeeping
from agent.records.turns import Turn, Turns

log = structlog.get_logger()

FINDINGS_SHOWN = 1000
"""The most findings in one answer; the totals count them all."""

_WORK = "clean the database"
_GONE = "is not there any more"
_ABOUT_HEADS = (Kind.TOMBSTONE, Kind.VERDICT, Kind.LOCK)


class Plan(Struct, frozen=True):
    """What GET /database/clean answers; `plan` is the digest of `actions`, `totals` also count bytes."""

    plan: str
    actions: list[CleanAction]
    findings: list[Finding]
    totals: dict[str, int]


class Skipped(Struct, frozen=True):
    """An action that was planned and not done, and why."""

    action: str
    kind: str
    target: str
    reason: str


class Cleaned(Struct, frozen=True):
    """What POST /database/clean answers: the plan, and what became of it; `backup` is null when nothing was to do."""

    plan: str
    actions: list[CleanAction]
    findings: list[Finding]
    totals: dict[str, int]
    performed: list[CleanAction]
    skipped: list[Skipped]
    backup: Backup | None


@dataclass(slots=True)
class _Work:
    """A clean under way: what was done and what was not, and what that takes."""

    performed: list[CleanAction]
    skipped: list[Skipped]
    leftovers: Mapping[tuple[str, str], Leftover]
    backup: Backup | None


class Cleaner:
    """Plans a clean and performs it. Objects and their references are looked at, never changed."""

    def __init__(
        self,
        store: Store,
        engine: StoreEngine,
        housekeeping: StoreHousekeeping,
        backups: Backups,
        turns: Turns,
        live: Live,
        clock: Clock,
    ) -> None:
        self._store = store
        self._engine = engine
        self._housekeeping = housekeeping
        self._backups = backups
        self._turns = turns
        self._live = live
        self._clock = clock
        self.progress: Progress | None = None
        """How many actions the clean that is under way has done."""

    async def plan(self) -> Plan:
        """What a clean would do now; nothing is changed. Raises Unavailable."""
        return (await self._survey())[0]

    async def clean(self, expected: str | None = None) -> Cleaned:
        """Perform the plan; with `expected`, only when that is still its digest.

        Raises Conflict (`busy`, `minority`, or `plan-changed` with the new plan), and Unavailable when there is no
        quorum or no backup could be written; then nothing has changed. Conflict or Unavailable may also come in the
        middle, when the turn is lost: `data` then tells what was done. Cut off anywhere, a second clean does what is
        left.
        """
        with self._backups.doing(_WORK):
            async with self._turns.turn(_WORK, makes_room=True) as turn:
                plan, leftovers = await self._survey()
                if expected is not None and expected != plan.plan:
                    reason = "the plan is not what it was when it was shown: look at the one in data, then ask again"
                    raise Conflict(reason, code="plan-changed", data=plan)
                backup = await self._backups.write() if plan.actions else None
                work = _Work([], [], leftovers, backup)
                try:
                    await self._perform_all(plan.actions, work, turn)
                except (Conflict, Unavailable) as err:
                    raise type(err)(err.reason, code=err.code, data=_cleaned(plan, work)) from err
                finally:
                    self.progress = None
                    if plan.actions:
                        log.info("Database cleaned", performed=len(work.performed), skipped=len(work.skipped))
                return _cleaned(plan, work)

    async def _perform_all(self, actions: Sequence[CleanAction], work: _Work, turn: Turn) -> None:
        """One after the other; raises Conflict or Unavailable when the turn is lost.

        After a piece of the engine's own work that failed no other is begun: one member may still be busy with it.
        """
        stuck = False
        for number, action in enumerate(actions):
            self.progress = Progress(number, len(actions), f"{action.action} {action.target}")
            await turn.renew()
            try:
                if stuck and action.kind == What.ENGINE:
                    raise Conflict("was not begun, since the engine's work before it failed")
                freed = await self._perform(action, work, turn)
            except AgentError as err:
                stuck = stuck or action.kind == What.ENGINE
                log.warning("Cleaning left something alone", kind=action.kind, object=action.target, reason=err.reason)
                work.skipped.append(Skipped(action.action, action.kind, action.target, err.reason))
            else:
                work.performed.append(replace(action, bytes=freed))

    async def _survey(self) -> tuple[Plan, dict[tuple[str, str], Leftover]]:
        config, self_uid = self._live.config.database, self._live.config.head.uid
        leftovers, findings = await self._look_at_files()
        seen = Seen(
            now=self._clock.now(),
            self_uid=self_uid,
            heads={record.uid for record in await self._store.records(Kind.HEAD)},
            records=[record for kind in _ABOUT_HEADS for record in await self._store.records(kind)],
            leftovers=leftovers,
            backups=await self._backups.listing(),
            reclaimable=await self._engine.reclaimable(),
            engine=self._engine.kind,
            tombstone_ttl=config.tombstone_ttl,
            backups_kept=config.backups,
        )
        actions = decide(seen)
        freed = sum(action.bytes or 0 for action in actions)
        totals = {"actions": len(actions), "bytes": freed, "findings": len(findings)}
        plan = Plan(digest(actions), actions, findings[:FINDINGS_SHOWN], totals)
        return plan, {(leftover.kind, leftover.target): leftover for leftover in leftovers}

    async def _look_at_files(self) -> tuple[list[Leftover], list[Finding]]:
        """The file store's part. Without the store that is one finding, and the rest can still be cleaned."""
        objects = {kind: await self._store.records(kind) for kind in OBJECT_KINDS}
        findings = list(missing_images(objects[Kind.BOOTCONFIG], objects[Kind.IMAGE]))
        uses = [use for records in objects.values() for use in file_uses(records)]
        try:
            leftovers = await self._housekeeping.leftovers()
            missing = await self._housekeeping.missing(sorted({use.filename for use in uses}))
        except Unavailable as err:
            return [], [*findings, Finding("store", "", "", "files", f"the file store is left out: {err.reason}")]
        return leftovers, [*findings, *missing_files(uses, set(missing))]

    async def _perform(self, action: CleanAction, work: _Work, turn: Turn) -> int | None:
        """Do one action if it is still right at this moment; the bytes freed, None where unknown."""
        match action.kind:
            case What.TOMBSTONE | What.VERDICT | What.LOCK:
                await self._forget(Kind(action.kind), action.target, turn)
                return None
            case What.BACKUP:
                return await self._drop(action.target, work.backup)
            case What.ENGINE:
                return await self._engine.reclaim(action.action)
            case _:
                return await self._housekeeping.discard(work.leftovers[action.kind, action.target])

    async def _forget(self, kind: Kind, uid: str, turn: Turn) -> None:
        record = await self._store.get(kind, uid)
        if record is None:
            raise Conflict(_GONE)
        about = subject(record)
        heads = [about] if about and await self._store.get(Kind.HEAD, about) else []
        config = self._live.config
        if why_forget(record, heads, config.head.uid, self._clock.now(), config.database.tombstone_ttl) is None:
            raise Conflict("is needed again")
        await turn.renew(Delete(kind, uid, expect=record.revision))
        log.info("Record of a head that is gone forgotten", kind=kind, object=uid)

    async def _drop(self, name: str, made: Backup | None) -> int:
        for backup in surplus(await self._backups.listing(), self._live.config.database.backups, made):
            if backup.name == name:
                await self._backups.drop(name)
                return backup.bytes
        raise Conflict("is one of those that are kept (database.backups)")


def _cleaned(plan: Plan, work: _Work) -> Cleaned:
    return Cleaned(plan.plan, plan.actions, plan.findings, plan.totals, work.performed, work.skipped, work.backup)

"""Cleaning the database: what would be done is shown first, and done only behind a backup."""

from __future__ import annotations

from collections.abc import Mapping

import structlog
from msgspec import Struct
from msgspec.structs import replace

from agent.config import Live
from agent.database.backups import Backup, Backups, surplus
from agent.database.findings import file_uses, missing_files, missing_images
from agent.database.plan import Seen, What, decide, digest, why_forget
from agent.errors import AgentError, Conflict, Unavailable
from agent.model import OBJECT_KINDS, CleanAction, Finding, Kind
from agent.ports import Clock, Delete, Leftover, Store, StoreEngine, StoreHousekeeping

log = structlog.get_logger()

FINDINGS_SHOWN = 1000
"""The most findings in one answer; the totals count them all."""

_GONE = "is not there any more"


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


class Cleaner:
    """Plans a clean and performs it. Objects and their references are looked at, never changed."""

    def __init__(
        self,
        store: Store,
        engine: StoreEngine,
        housekeeping: StoreHousekeeping,
        backups: Backups,
        live: Live,
        clock: Clock,
    ) -> None:
        self._store = store
        self._engine = engine
        self._housekeeping = housekeeping
        self._backups = backups
        self._live = live
        self._clock = clock

    async def plan(self) -> Plan:
        """What a clean would do now; nothing is changed. Raises Unavailable."""
        return (await self._survey())[0]

    async def clean(self, expected: str | None = None) -> Cleaned:
        """Perform the plan; with `expected`, only when that is still its digest.

        Raises Conflict (`busy`, or `plan-changed` with the new plan), and Unavailable when no backup could be
        written; then nothing has changed. Cut off anywhere, a second clean does what is left.
        """
        with self._backups.doing("clean the database"):
            plan, leftovers = await self._survey()
            if expected is not None and expected != plan.plan:
                reason = "the plan is not what it was when it was shown: look at the one in data, then ask again"
                raise Conflict(reason, code="plan-changed", data=plan)
            backup = await self._backups.write() if plan.actions else None
            performed: list[CleanAction] = []
            skipped: list[Skipped] = []
            for action in plan.actions:
                try:
                    freed = await self._perform(action, leftovers, backup)
                except AgentError as err:
                    log.warning(
                        "Cleaning left something alone", kind=action.kind, target=action.target, reason=err.reason
                    )
                    skipped.append(Skipped(action.action, action.kind, action.target, err.reason))
                else:
                    performed.append(replace(action, bytes=freed))
            if plan.actions:
                log.info("Database cleaned", performed=len(performed), skipped=len(skipped))
        return Cleaned(plan.plan, plan.actions, plan.findings, plan.totals, performed, skipped, backup)

    async def _survey(self) -> tuple[Plan, dict[tuple[str, str], Leftover]]:
        config, self_uid = self._live.config.database, self._live.config.head.uid
        leftovers, findings = await self._look_at_files()
        seen = Seen(
            now=self._clock.now(),
            self_uid=self_uid,
            tombstones=await self._store.records(Kind.TOMBSTONE),
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

    async def _perform(
        self, action: CleanAction, leftovers: Mapping[tuple[str, str], Leftover], backup: Backup | None
    ) -> int | None:
        """Do one action if it is still right at this moment; the bytes freed, None where unknown."""
        match action.kind:
            case What.TOMBSTONE:
                await self._forget(action.target)
                return None
            case What.BACKUP:
                return await self._drop(action.target, backup)
            case What.ENGINE:
                return await self._engine.reclaim(action.action)
            case _:
                return await self._housekeeping.discard(leftovers[action.kind, action.target])

    async def _forget(self, uid: str) -> None:
        record = await self._store.get(Kind.TOMBSTONE, uid)
        if record is None:
            raise Conflict(_GONE)
        config = self._live.config
        if why_forget(record, config.head.uid, self._clock.now(), config.database.tombstone_ttl) is None:
            raise Conflict("is needed again")
        await self._store.commit(Delete(Kind.TOMBSTONE, uid, expect=record.revision))
        log.info("Tombstone forgotten", head=uid)

    async def _drop(self, name: str, made: Backup | None) -> int:
        for backup in surplus(await self._backups.listing(), self._live.config.database.backups, made):
            if backup.name == name:
                await self._backups.drop(name)
                return backup.bytes
        raise Conflict("is one of those that are kept (database.backups)")

"""Saving all records as one document, and loading such a document: validated and planned first, behind a backup."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec
import structlog
from msgspec import Struct

from agent import __version__
from agent.database.backups import Backup, Backups
from agent.database.naming import in_turn
from agent.database.saved import FORMAT, KINDS, VERSION, LoadPlan, Saved, SavedRecord, compare, ignored, read
from agent.errors import AgentError, Conflict
from agent.model import OBJECT_KINDS, Kind, Progress, Record, rfc3339
from agent.ports import ABSENT, Clock, Put, Store, StoreEngine
from agent.records import Spec
from agent.records.references import references_of
from agent.records.shape import CLUSTER

log = structlog.get_logger()

_MOST, _LARGEST = 40, 512 * 1024
"""Records, and bytes of them, in one commit. A site's own etcd takes 128 operations and 1.5 MiB, and a record may need
three: its own, its name's and its former name's."""


class Loaded(Struct, frozen=True):
    """What a load did; `backup` is null when there was nothing to do."""

    plan: LoadPlan
    written: int
    backup: Backup | None = None


class Loader:
    """Saves and loads. Raises Unavailable while the database is away."""

    def __init__(
        self,
        store: Store,
        engine: StoreEngine,
        specs: Mapping[Kind, Spec],
        backups: Backups,
        head: Callable[[], str],
        clock: Clock,
    ) -> None:
        self._store = store
        self._engine = engine
        self._specs = specs
        self._backups = backups
        self._head = head
        self._clock = clock
        self.progress: Progress | None = None
        """How many records the load that is under way has written."""

    async def save(self) -> Saved:
        """Everything that the database holds, but for what is of the moment."""
        records = [record for kind in KINDS for record in await self._store.records(kind)]
        cluster = next((record.body.get("id") for record in records if record.uid == CLUSTER), None)
        return Saved(
            format=FORMAT,
            version=VERSION,
            made=rfc3339(self._clock.now()),
            agent=__version__,
            engine=self._engine.kind,
            head=self._head(),
            cluster=cluster,
            records=[SavedRecord(record.kind, record.uid, record.body) for record in records],
        )

    async def plan(self, saved: Saved) -> LoadPlan:
        """What loading the document would change; raises Invalid, naming every fault."""
        return (await self._planned(saved))[0]

    async def load(self, saved: Saved, expected: str | None = None) -> Loaded:
        """Load it; with `expected`, only while that is its plan's digest.

        Raises Invalid, and Conflict (`plan-changed`, `busy`); then nothing has changed. Conflict and Unavailable may
        also come in the middle: loading it again does what is left.
        """
        with self._backups.doing("load records"):
            plan, wanted, present = await self._planned(saved)
            if expected is not None and expected != plan.plan:
                reason = "the plan is not what it was when it was shown: look at the one in data, then ask again"
                raise Conflict(reason, code="plan-changed", data=plan)
            if not plan.steps:
                return Loaded(plan, 0)
            backup = await self._backups.write()
            written = await self._write(plan, wanted, present)
        log.info("Records loaded", records=written, backup=backup.name)
        return Loaded(plan, written, backup)

    async def _planned(self, saved: Saved) -> tuple[LoadPlan, list[Record], list[Record]]:
        wanted = await asyncio.to_thread(read, saved, self._specs)
        present = [record for kind in OBJECT_KINDS for record in await self._store.records(kind)]
        plan = await asyncio.to_thread(compare, wanted, present, ignored(saved), self._specs)
        return plan, wanted, present

    async def _write(self, plan: LoadPlan, wanted: Sequence[Record], present: Sequence[Record]) -> int:
        due = {(step.kind, step.uid) for step in plan.steps}
        revisions = {(record.kind, record.uid): record.revision for record in present}
        puts = [
            Put(r.kind, r.uid, r.body, r.name, revisions.get((r.kind, r.uid), ABSENT), references_of(r.body))
            for r in wanted
            if (r.kind, r.uid) in due
        ]
        written = 0
        line, rings = in_turn(puts, present)
        try:
            for batch in (*batches(line), *rings):
                self.progress = Progress(written, len(puts), "write the records")
                await self._store.commit(*batch)
                written += len({(put.kind, put.uid) for put in batch})
        except AgentError as err:
            reason = f"{err.reason}; {written} of {len(puts)} records are loaded: load it again for the rest"
            raise type(err)(reason, code=err.code, data=err.data) from err
        finally:
            self.progress = None
        return written


def batches(puts: Sequence[Put]) -> Iterator[list[Put]]:
    """The writes in their order, in commits that every engine takes."""
    batch: list[Put] = []
    size = 0
    for put in puts:
        length = len(msgspec.json.encode(put.body))
        if batch and (len(batch) == _MOST or size + length > _LARGEST):
            yield batch
            batch, size = [], 0
        batch.append(put)
        size += length
    if batch:
        yield batch

"""Examining the database: the engine's own check, every record, and what the records refer to. Nothing is changed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from msgspec import Struct

from agent.database.cleaning import FINDINGS_SHOWN, Cleaner
from agent.database.saved import faults_of
from agent.errors import AgentError
from agent.model import Finding, Kind, Record
from agent.ports import Store, StoreEngine
from agent.records import Spec


class Checked(Struct, frozen=True):
    """What was found: `problems` of the engine, `records` read by kind, `findings` about them (`total` counts all)."""

    engine: str
    problems: list[str]
    records: dict[str, int]
    findings: list[Finding]
    total: int


class Checker:
    """Examines what the database holds."""

    def __init__(self, store: Store, engine: StoreEngine, cleaner: Cleaner, specs: Mapping[Kind, Spec]) -> None:
        self._store = store
        self._engine = engine
        self._cleaner = cleaner
        self._specs = specs

    async def check(self) -> Checked:
        """Look at everything; a part that cannot be looked at is a problem, too."""
        problems, findings, counts = [], [], {}
        try:
            problems += await self._engine.check()
            for kind in Kind:
                records = await self._store.records(kind)
                counts[kind.value] = len(records)
                if kind in self._specs:
                    findings += await asyncio.to_thread(faulty, self._specs[kind], records)
            findings += (await self._cleaner.plan()).findings
        except AgentError as err:
            problems.append(err.reason)
        return Checked(self._engine.kind, problems, counts, findings[:FINDINGS_SHOWN], len(findings))


def faulty(spec: Spec, records: Sequence[Record]) -> list[Finding]:
    """What is wrong with stored records, field by field."""
    return [
        Finding(record.kind, record.uid, fault.field, "", fault.reason)
        for record in records
        for fault in faults_of(spec, record.uid, record.body)
    ]

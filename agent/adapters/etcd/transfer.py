"""Records on their way from one engine to another: an archive that every engine writes and reads, and a last look."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from agent.adapters.sqlite import archive
from agent.adapters.sqlite.archive import Archive, Row
from agent.errors import Unavailable
from agent.model import Kind, Record, rfc3339
from agent.ports import Store, StoreEngine
from agent.records import references_of
from agent.records.shape import alone

T = TypeVar("T")

_BATCH = 10_000


async def write_archive(path: Path, engine: StoreEngine, records: Sequence[Record] | None) -> None:
    """Write these records, or all that the engine holds, in place of an archive that a former attempt may have left."""
    await blocking(lambda: path.unlink(missing_ok=True))
    if records is None:
        await engine.backup(path)
        return
    rows = [Row(record, tuple(references_of(record.body))) for record in records]
    newest = max((record.revision for record in records), default=0)
    await blocking(lambda: archive.write(path, rows, newest))


async def read_archive(path: Path) -> Archive:
    """Read one. Raises Invalid, Unavailable."""
    return await blocking(lambda: archive.read(path))


def on_its_own(source: Archive, uid: str, made: datetime) -> list[Row]:
    """What a head keeps of a cluster's records that goes on alone, in a new cluster."""
    records = [row.record for row in source.rows]
    own = next((record for record in records if (record.kind, record.uid) == (Kind.HEAD, uid)), None)
    former = next((record.body.get("id") for record in records if record.kind is Kind.CLUSTER), None)
    kept = alone(records, own, {"id": uuid4().hex, "made": rfc3339(made), "recovered": former})
    return [Row(record, tuple(references_of(record.body))) for record in kept]


async def newer(one: Path, other: Path) -> Path:
    """Which of two archives goes further."""
    first, second = await read_archive(one), await read_archive(other)
    return one if first.revision >= second.revision else other


async def verify(source: Archive, store: Store) -> None:
    """Raises Unavailable unless the store holds just what the archive does."""
    wanted = {(row.record.kind, row.record.uid): (row.record.name, row.record.body) for row in source.rows}
    held = {}
    for kind in Kind:
        held.update({(kind, record.uid): (record.name, record.body) for record in await store.records(kind)})
    referenced = {filename for row in source.rows for filename in row.references}
    if held != wanted or await _references(store) != referenced:
        raise Unavailable(
            f"the new database does not hold what the former did ({len(held)} records of {len(wanted)}): "
            "nothing was changed; report this",
            code="not-the-same",
        )


async def blocking(do: Callable[[], T]) -> T:
    """Off the event loop; raises Unavailable for what the system refuses."""
    try:
        return await asyncio.to_thread(do)
    except OSError as err:
        raise Unavailable(f"cannot prepare the database: {err.strerror}") from err


async def _references(store: Store) -> set[str]:
    found: set[str] = set()
    after = ""
    while batch := await store.references(after, _BATCH):
        found.update(batch)
        after = batch[-1]
    return found

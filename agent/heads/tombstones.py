"""What is kept of a head that is gone: a record becomes a tombstone, and makes place again for one that comes back."""

from __future__ import annotations

import msgspec

from agent.heads.record import HEADS
from agent.model import Departure, Kind, Record, Tombstone
from agent.ports import Change, Delete, Put, Store
from agent.records.spec import plain


def tombstone_of(record: Record, departure: Departure, at: str) -> Tombstone:
    """What is kept of a head with that record; `at` is RFC 3339 UTC."""
    body = HEADS.view(record)
    kept = {name: body[name] for name in ("generation", "ca_pem", "description", "addresses", "joined_with")}
    return Tombstone(departure, at, **kept)


async def burial(store: Store, record: Record, departure: Departure, at: str) -> list[Change]:
    """What takes a head out of the cluster, what was agreed on it included; raises Unavailable."""
    changes: list[Change] = [
        Delete(Kind.HEAD, record.uid, record.revision),
        Put(Kind.TOMBSTONE, record.uid, plain(tombstone_of(record, departure, at))),
    ]
    if (verdict := await store.get(Kind.VERDICT, record.uid)) is not None:
        changes.append(Delete(Kind.VERDICT, verdict.uid, verdict.revision))
    return changes


async def revival(store: Store, uid: str) -> tuple[int, list[Change]]:
    """The generation of a head that comes in now, and what goes for it; raises Unavailable."""
    tombstone = await store.get(Kind.TOMBSTONE, uid)
    if tombstone is None:
        return 1, []
    generation = msgspec.convert(tombstone.body, Tombstone).generation + 1
    return generation, [Delete(Kind.TOMBSTONE, uid, tombstone.revision)]

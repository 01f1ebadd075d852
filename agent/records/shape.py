"""The records that make a cluster (its id, its heads, those that are gone), exchanged as a whole when a head moves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agent.errors import NotFound, Stale
from agent.model import OBJECT_KINDS, Kind, Record
from agent.ports import Change, Delete, Put, Store
from agent.records.verbs import until_settled

SHAPE = (Kind.CLUSTER, Kind.HEAD, Kind.TOMBSTONE)
"""The kinds that make a cluster."""
CLUSTER = "cluster"
"""The key of the one record of its kind, which holds the cluster's id."""


def alone(records: Sequence[Record], own: Record | None, cluster: dict[str, Any]) -> list[Record]:
    """What a head keeps that goes on alone: its own record, the objects, and the new cluster's id.

    Its generation grows, so that no late word of its having left counts here.
    """
    objects = [record for record in records if record.kind in OBJECT_KINDS]
    kept = [Record(Kind.CLUSTER, CLUSTER, 0, cluster), *objects]
    if own is not None:
        body = {name: value for name, value in own.body.items() if name != "peer_url"}
        kept.append(Record(own.kind, own.uid, 0, {**body, "generation": body.get("generation", 1) + 1}))
    return kept


async def shape(store: Store) -> list[Record]:
    """The records of these kinds; raises Unavailable."""
    return [record for kind in SHAPE for record in await store.records(kind)]


async def everything(store: Store) -> list[Record]:
    """All records that there are; raises Unavailable."""
    return [record for kind in Kind for record in await store.records(kind)]


async def reshape(store: Store, wanted: Sequence[Record]) -> None:
    """Have these be the heads, the tombstones and the cluster's id, in one commit; raises Unavailable."""
    kept = {(record.kind, record.uid) for record in wanted}

    async def attempt() -> None:
        present = await shape(store)
        gone: list[Change] = [
            Delete(record.kind, record.uid, record.revision)
            for record in present
            if record.kind is not Kind.CLUSTER and (record.kind, record.uid) not in kept
        ]
        try:
            await store.commit(*gone, *(Put(r.kind, r.uid, r.body, r.name) for r in wanted))
        except NotFound as err:
            raise Stale("a record has gone in between") from err

    await until_settled(attempt)

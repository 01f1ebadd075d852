"""All records exchanged at once: laid down as a new generation beside the one in force, which is then exchanged.

Whenever this is cut off, readers have the whole of the old records or the whole of the new; what was begun is cleared
away by the next that begins.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence

import msgspec
import structlog

from agent.adapters.etcd.client import EtcdClient
from agent.adapters.etcd.errors import NoSpace
from agent.adapters.etcd.keys import Current, Key, Layout, NameKey, RecordKey, encode
from agent.adapters.etcd.wire import Body, KeyValue, Txn, drop, put, unchanged
from agent.adapters.sqlite.archive import Row
from agent.errors import AgentError, Conflict

log = structlog.get_logger()

_OPERATIONS = 100
"""Writes in one transaction; etcd's own limit is 128."""
_BYTES = 2**20
"""About so many bytes in one transaction; etcd's own limit is 1.5 MiB."""


async def install(
    client: EtcdClient, layout: Layout, rows: Iterable[Row], base: int | None = None, unless: Sequence[Body] = ()
) -> int:
    """Make these the store's records, all others gone; returns etcd's revision at which they came into force.

    `base` is added to etcd's revisions from then on: what the records' former engine had reached, where they come to
    a new etcd; None leaves it as it is. `unless`: compares that must hold at that moment. Raises Conflict when they do
    not, or when another such exchange began meanwhile; then nothing has changed. Safe to repeat.
    """
    mine = secrets.token_hex(8)
    clearing, filling = f"{mine} clears".encode(), f"{mine} fills".encode()
    former, revision = await _current(client, layout)
    current = Current(mine, former.base if base is None else base)
    # From here on no other exchange can come to its end, and none of the writes of an earlier one can still happen.
    await _txn(client, [], [put(layout.restoring, clearing)])
    drops = [drop(*part) for part in layout.others(former.generation)]
    await _if(client, layout, clearing, drops)
    await _if(client, layout, clearing, [put(layout.restoring, filling)], becomes=filling)
    for batch in _batches(layout, current.generation, rows):
        await _if(client, layout, filling, batch)
    exchange = [
        put(layout.current, msgspec.json.encode(current)),
        put(layout.commit("restore"), mine.encode()),  # a change like any other: who asks for the newest hears of it
        drop(layout.restoring),
    ]
    refusal: AgentError = _overtaken()
    try:
        ours = [_is(layout.restoring, filling), unchanged(layout.current, revision)]
        made = (await _txn(client, [*ours, *unless], exchange)).succeeded
    except NoSpace as err:  # etcd's answer also to the very write that fills it, which it makes
        made, refusal = False, err
    found, at = await _current(client, layout)
    if not made and found != current:
        raise refusal
    try:
        await _txn(client, [unchanged(layout.current, at)], [drop(*part) for part in layout.others(mine)])
    except AgentError as err:
        log.warning("Former records not removed from etcd", reason=err.reason)
    return at


async def _current(client: EtcdClient, layout: Layout) -> tuple[Current, int]:
    found: KeyValue | None = next(iter((await client.range(layout.current)).kvs), None)
    return (msgspec.json.decode(found.value, type=Current), found.mod_revision) if found else (Current(), 0)


async def _if(
    client: EtcdClient, layout: Layout, marker: bytes, operations: list[Body], becomes: bytes | None = None
) -> None:
    """Do this while the exchange is still ours; `becomes`: what the marker is once it was done."""
    answer = await _txn(client, [_is(layout.restoring, marker)], operations)
    if answer.succeeded:
        return
    found = (await client.range(layout.restoring)).kvs
    if becomes is None or not found or found[0].value != becomes:
        raise _overtaken()


async def _txn(client: EtcdClient, compare: list[Body], success: list[Body]) -> Txn:
    return await client.call("kv/txn", {"compare": compare, "success": success, "failure": []}, Txn)


def _is(key: bytes, value: bytes) -> Body:
    return {"key": key, "target": "VALUE", "result": "EQUAL", "value": value}


def _overtaken() -> Conflict:
    reason = "another head changed the database's records meanwhile: this one's were not taken; ask again"
    return Conflict(reason, code="overtaken")


def _batches(layout: Layout, generation: str, rows: Iterable[Row]) -> Iterator[list[Body]]:
    batch: list[Body] = []
    size = 0
    for key, value in _pairs(rows):
        if batch and (len(batch) == _OPERATIONS or size + len(value) > _BYTES):
            yield batch
            batch, size = [], 0
        batch.append(put(layout.key(generation, key), value))
        size += len(value)
    if batch:
        yield batch


def _pairs(rows: Iterable[Row]) -> Iterator[tuple[Key, bytes]]:
    for row in rows:
        record = row.record
        yield RecordKey(record.kind, record.uid), encode(record.body, record.name, row.references)
        if record.name is not None:
            yield NameKey(record.kind, record.name), record.uid.encode()

"""The order of writes in which each name is free when a record takes it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from agent.model import Record
from agent.ports import Put


def in_turn(puts: Sequence[Put], present: Sequence[Record]) -> tuple[list[Put], list[list[Put]]]:
    """The writes, of records with distinct names, each behind the one that sets its name free; else as they are.

    Records that exchange their names have no such order: each such ring is one commit of its own, in which one record
    is without a name until the others have theirs.
    """
    holders = {(record.kind, record.name): (record.kind, record.uid) for record in present if record.name is not None}
    due = {(put.kind, put.uid): put for put in puts}
    line: list[Put] = []
    rings: list[list[Put]] = []
    while due:
        first = put = due.pop(next(iter(due)))
        chain = [first]
        while (before := holders.get((put.kind, put.name or ""))) in due:
            put = due.pop(before)
            chain.insert(0, put)
        if put is not first and before == (first.kind, first.uid):
            rings.append([replace(first, name=None), *chain[:-1], replace(first, expect=None)])
        else:
            line += chain
    return line, rings

"""All records as one document: its format, reading it, and what loading it would change. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from agent.errors import Conflict, FieldError, Invalid
from agent.model import OBJECT_KINDS, Kind, Record
from agent.records.spec import Body, Spec, is_uid

FORMAT = "clusterware-head-agent/records"
VERSION = 1
KINDS = (Kind.CLUSTER, Kind.HEAD, Kind.TOMBSTONE, *OBJECT_KINDS)
"""What is saved; verdicts and locks are of the moment."""

_FAULTS_TOLD = 1000

Specs = Mapping[Kind, Spec]


class SavedRecord(Struct, frozen=True, forbid_unknown_fields=True):
    """One record; `body` is what the database holds of it."""

    kind: Kind
    uid: str
    body: dict[str, Any]


class Saved(Struct, frozen=True, forbid_unknown_fields=True):
    """The document: `made` is RFC 3339 UTC; `engine`, `head` and `cluster` tell where it comes from."""

    format: str
    version: int
    made: str
    agent: str
    engine: str
    head: str
    cluster: str | None
    records: list[SavedRecord]


class Step(Struct, frozen=True):
    """What loading one record does: `add` it, or `change` the fields that are named."""

    action: str
    kind: Kind
    uid: str
    name: str | None = None
    fields: list[str] = []


class LoadPlan(Struct, frozen=True):
    """What a load would do; `plan` is its digest.

    `same` counts the objects that are in the database just so, `kept` those that only the database has: nothing is
    ever removed. `ignored` counts, by kind, what is in the document and makes a cluster: that is not loaded.
    """

    plan: str
    steps: list[Step]
    same: int
    kept: int
    ignored: dict[str, int]


def read(saved: Saved, specs: Specs) -> list[Record]:
    """The objects of the document, in the order in which they can be written; raises Invalid, naming every fault."""
    if saved.format != FORMAT or saved.version != VERSION:
        raise Invalid(
            f"cannot load the records: the document is {saved.format[:60]!r} of version {saved.version}, "
            f"and this agent reads {FORMAT!r} of version {VERSION}; `cw-headctl database save` writes that",
            code="format",
        )
    errors = [fault for index, record in enumerate(saved.records) for fault in _faults(index, record, specs)]
    errors += _twice(saved.records, specs)
    if errors:
        raise _invalid(errors)
    order = {kind: number for number, kind in enumerate(OBJECT_KINDS)}
    objects = [record for record in saved.records if record.kind in specs and record.kind in order]
    return [
        Record(record.kind, record.uid, 0, record.body, name_of(specs[record.kind], record.body))
        for record in sorted(objects, key=lambda record: (order[record.kind], record.uid))
    ]


def faults_of(spec: Spec, uid: str, body: Body) -> tuple[FieldError, ...]:
    """What is wrong with a stored record. Fields that only a newer agent knows are not."""
    try:
        spec.read_new({"uid": uid, **{name: value for name, value in body.items() if name in spec.fields}})
    except Invalid as err:
        return err.fields
    return ()


def name_of(spec: Spec, body: Body) -> str | None:
    """The name that is unique within its kind, where the kind has names."""
    return body.get(spec.name) if spec.name else None


def compare(wanted: Sequence[Record], present: Sequence[Record], ignored: Mapping[str, int], specs: Specs) -> LoadPlan:
    """What loading these objects changes; raises Invalid for what cannot be: a taken name, a frozen object."""
    known = {(record.kind, record.uid): record for record in present}
    steps, errors, same = [], [], 0
    for record in wanted:
        before = known.pop((record.kind, record.uid), None)
        if before is not None and before.body == record.body:
            same += 1
            continue
        if before is not None and (frozen := _frozen(specs[record.kind], before, record)):
            errors.append(frozen)
        names = sorted(set(record.body) | set(before.body)) if before else []
        changed = [name for name in names if before and record.body.get(name) != before.body.get(name)]
        steps.append(Step("change" if before else "add", record.kind, record.uid, record.name, changed))
    errors += _taken(wanted, list(known.values()))
    if errors:
        raise _invalid(errors)
    return LoadPlan(_digest(steps, wanted), steps, same, len(known), dict(ignored))


def ignored(saved: Saved) -> dict[str, int]:
    """How many records of the document make a cluster, by kind."""
    kinds = [record.kind for record in saved.records if record.kind not in OBJECT_KINDS]
    return {kind.value: kinds.count(kind) for kind in dict.fromkeys(kinds)}


def _invalid(errors: Sequence[FieldError]) -> Invalid:
    told = "; ".join(f"{error.field}: {error.reason}" for error in errors[:3])
    more = f"; and {len(errors) - 3} more" if len(errors) > 3 else ""
    return Invalid(f"cannot load the records: {told}{more}; nothing was changed", fields=errors[:_FAULTS_TOLD])


def _faults(index: int, record: SavedRecord, specs: Specs) -> Iterator[FieldError]:
    if record.kind not in OBJECT_KINDS:
        return
    place = f"records[{index}]"
    if not is_uid(record.uid):
        yield FieldError(f"{place}.uid", "must be 32 lower-case letters and digits")
        return
    for fault in faults_of(specs[record.kind], record.uid, record.body):
        yield FieldError(f"{place}.body.{fault.field}", fault.reason)


def _twice(records: Sequence[SavedRecord], specs: Specs) -> Iterator[FieldError]:
    """The uids, and the names within a kind, that the document has more than once."""
    seen: set[tuple[Kind, str, str]] = set()
    for index, record in enumerate(records):
        keys = [(record.kind, "uid", record.uid)]
        if record.kind in OBJECT_KINDS and isinstance(name := name_of(specs[record.kind], record.body), str):
            keys.append((record.kind, "name", name))
        for key in keys:
            if key in seen:
                yield FieldError(f"records[{index}].{key[1]}", f"is there twice: {key[0].value} {key[2][:60]}")
            seen.add(key)


def _frozen(spec: Spec, before: Record, after: Record) -> FieldError | None:
    try:
        spec.guard(before.body, after.body)
    except Conflict as err:
        return FieldError(f"{before.kind.value} {before.uid}", err.reason)
    return None


def _taken(wanted: Sequence[Record], others: Sequence[Record]) -> Iterator[FieldError]:
    """Names that an object has which the document does not have, by uid."""
    names = {(record.kind, record.name): record.uid for record in others if record.name is not None}
    for record in wanted:
        if record.name is not None and (holder := names.get((record.kind, record.name))):
            yield FieldError(f"{record.kind.value} {record.uid}", f"the name {record.name!r} is taken by {holder}")


def _digest(steps: Sequence[Step], wanted: Sequence[Record]) -> str:
    bodies = {(record.kind, record.uid): record.body for record in wanted}
    content = [[step.action, step.kind, step.uid, bodies[step.kind, step.uid]] for step in steps]
    return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()[:16]

"""The heads' records: the standard verbs, and the heads that are down."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

from agent.api.answers import READS, WRITES, Answers, Codes, Warnings, together
from agent.api.call import Answer, Call
from agent.errors import Conflict, Invalid, NotFound
from agent.heads.eviction import STILL_OPENS
from agent.heads.liveness import Outlook, Standing, State
from agent.heads.record import HEADS
from agent.model import Record


class OutlookMeta(TypedDict):
    """Whether this head may judge the others, on whose word, and of whom nothing is known."""

    standing: Standing
    verdict: str
    unknown: list[str]


class HeadsMeta(OutlookMeta):
    """Beside the list of heads."""

    self: str
    timeout: float
    """Seconds; a head that another has not heard for longer is not heard by it."""
    problem: NotRequired[str]


class EvictionMeta(OutlookMeta):
    """Beside the heads that were removed."""

    dry_run: bool
    warnings: NotRequired[list[str]]


class DownHead(TypedDict):
    """A head that is down; times are RFC 3339 UTC."""

    uid: str
    description: str
    state: State
    last_seen: str | None
    down_since: str | None


class KeptHead(TypedDict):
    """A head that a removal left alone, and why."""

    uid: str
    reason: str


_HEADS: Any = dict[str, HEADS.shown]  # type: ignore[name-defined]  # a type that is made from the Spec
_NOT_REMOVED: Codes = {Conflict: ("self", "minority", "quorum")}
_ONE = together(READS, {NotFound: ("not-found",)})
_CHANGED = together(WRITES, {NotFound: ("not-found",)})

LIST = Answers(data=_HEADS, meta=HeadsMeta, fails=READS)
CREATED = Answers(data=str, meta=Warnings, status=201, etag=True, fails=WRITES)
FIELDS = Answers(data=dict[str, dict[str, Any]])
DOWN = Answers(data=list[DownHead], meta=OutlookMeta, fails=READS)
DOWN_REMOVED = Answers(
    data=list[DownHead],
    meta=EvictionMeta,
    beside={"kept": list[KeptHead]},
    fails=together(WRITES, {Conflict: ("minority",), Invalid: ("invalid",)}),
)
ONE = Answers(data=_HEADS, meta=Warnings, beside={"self": str}, etag=True, fails=_ONE)
CHANGED = Answers(data=_HEADS, meta=Warnings, beside={"self": str}, etag=True, fails=_CHANGED)
REMOVED = Answers(data=str, meta=Warnings, etag=True, fails=together(_CHANGED, _NOT_REMOVED, {Invalid: ("invalid",)}))


async def list_heads(call: Call) -> Answer:
    """GET /heads: every head by uid, with its state."""
    heads = call.rooms.heads
    meta = {"self": heads.self_uid, "timeout": call.rooms.live.config.heartbeat.timeout, **_outlook(heads.outlook())}
    return Answer(await heads.all(), meta=meta | ({"problem": heads.problem} if heads.problem else {}))


async def create_head(call: Call) -> Answer:
    """POST /heads: register a head by hand."""
    record = await call.rooms.heads.register(await call.body())
    call.about["head_uid"] = record.uid
    headers = {**_etag(record), "Location": f"/api/v1/head/{record.uid}"}
    return Answer(record.uid, status=201, meta=_caveats(call, record), headers=headers)


async def read_head(call: Call) -> Answer:
    """GET /head/<uid>: the one record; `self` names this head."""
    return _single(call, await call.rooms.heads.get(call.param("uid")))


async def patch_head(call: Call) -> Answer:
    """PATCH /head/<uid>: change some fields; null takes one back to its default."""
    return _single(call, await call.rooms.heads.patch(call.param("uid"), await call.body(), call.if_match))


async def replace_head(call: Call) -> Answer:
    """PUT /head/<uid>: change all fields that can be set."""
    return _single(call, await call.rooms.heads.replace(call.param("uid"), await call.body(), call.if_match))


async def delete_head(call: Call) -> Answer:
    """DELETE /head/<uid>: take a head out of the cluster, be it up or down."""
    removed = await call.rooms.heads.remove(call.param("uid"), call.if_match, force=call.flag("force"))
    return Answer(removed.uid, meta=_still_opens(call) or None)


async def describe_heads(call: Call) -> Answer:
    """GET /heads/meta: the fields, their types, which are required."""
    return Answer(HEADS.described())


async def list_down(call: Call) -> Answer:
    """GET /heads/down: the heads that are down, and on whose word."""
    heads = call.rooms.heads
    return Answer(heads.down(), meta=_outlook(heads.outlook()))


async def delete_down(call: Call) -> Answer:
    """DELETE /heads/down: remove them, and tell which others stay and why."""
    heads = call.rooms.heads
    dry_run = call.flag("dry_run")
    removed, kept = await heads.remove_down(dry_run=dry_run)
    call.about["head_uid"] = [head["uid"] for head in removed]
    meta = {"dry_run": dry_run, **_outlook(heads.outlook())}
    if removed and not dry_run:
        meta |= _still_opens(call)
    return Answer(removed, beside={"kept": kept}, meta=meta)


def _single(call: Call, record: Record) -> Answer:
    heads = call.rooms.heads
    data = {record.uid: heads.view(record)}
    return Answer(data, beside={"self": heads.self_uid}, meta=_caveats(call, record), headers=_etag(record))


def _etag(record: Record) -> dict[str, str]:
    return {"ETag": f'"{record.revision}"'}


def _caveats(call: Call, record: Record) -> dict[str, Any] | None:
    found = call.rooms.heads.warnings(record)
    return {"warnings": found} if found else None


def _still_opens(call: Call) -> dict[str, Any]:
    return {"warnings": [STILL_OPENS]} if call.rooms.engine.kind == "etcd" else {}


def _outlook(outlook: Outlook) -> dict[str, Any]:
    unknown = [uid for uid, condition in outlook.conditions.items() if condition.state is State.UNKNOWN]
    return {"standing": outlook.standing, "verdict": outlook.verdict, "unknown": unknown}

"""The files room over HTTP: what is unused, removing it, the trash, what the objects refer to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from agent.api.call import Answer, Call
from agent.api.query import Number, Text
from agent.api.scope import SCOPE, scoped
from agent.files.survey import timestamp
from agent.model import Kept, TrashedFile


class RestoreRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /head/files/restore; `slot` as GET /head/files/trash lists it, the newest copies without."""

    filenames: tuple[str, ...]
    slot: str | None = None


class NamesRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /head/files/references."""

    filenames: tuple[str, ...]


AFTER = Text("after")
LIMIT = Number("limit", 10_000)
SCOPES = (SCOPE,)
PAGES = (AFTER, LIMIT)

_SCAN, _REMOVAL, _LISTING = 120.0, 900.0, 30.0
"""Seconds that another head has with ?scope=cluster."""


async def list_unused(call: Call) -> Answer:
    """What could be removed now, here or on every head."""
    return await scoped(call, _list_unused, patience=_SCAN)


async def remove_unused(call: Call) -> Answer:
    """Move the unused files to the trash, here or on one head after the other."""
    return await scoped(call, _remove_unused, patience=_REMOVAL, in_turn=True)


async def list_trash(call: Call) -> Answer:
    """What can be restored, here or on every head."""
    return await scoped(call, _list_trash, patience=_LISTING)


async def list_references(call: Call) -> Answer:
    """The filenames that the objects refer to; with ?limit no more than that many, behind ?after."""
    after, limit = call.value(AFTER), call.value(LIMIT)
    references = call.rooms.references
    if limit is None and not after:
        filenames = [name async for batch in references.references() for name in batch]
    else:
        filenames = await references.page(after, limit or LIMIT.most)
    return Answer(filenames, meta={"files": len(filenames)})


async def name_references(call: Call) -> Answer:
    """Which of some filenames the objects refer to."""
    request = await call.body_as(NamesRequest)
    return Answer(sorted(await call.rooms.references.named(request.filenames)))


async def _list_unused(call: Call) -> Answer:
    survey = await call.rooms.collector.unused()
    return Answer([candidate.row for candidate in survey.unused], meta={**survey.meta, **_caveat(call)})


async def _remove_unused(call: Call) -> Answer:
    removal = await call.rooms.collector.remove(dry_run=call.flag("dry_run"), force=call.flag("force"))
    return Answer(removal.removed, meta={**removal.meta, **_caveat(call)}, beside={"kept": removal.kept})


async def _list_trash(call: Call) -> Answer:
    trash = await call.rooms.collector.trash.listing()
    return Answer([_trashed(file) for file in trash], meta=_totals(trash))


async def restore(call: Call) -> Answer:
    """Put removed files back in their places."""
    request = await call.body_as(RestoreRequest)
    restored, kept = await call.rooms.collector.trash.restore(request.filenames, request.slot)
    return _done(restored, kept)


async def empty_trash(call: Call) -> Answer:
    """Remove everything in the trash for good."""
    return _done(*await call.rooms.collector.trash.empty())


def _caveat(call: Call) -> dict[str, Any]:
    """Which heads were not asked what their objects refer to: those that were registered by hand, without a url."""
    if call.rooms.engine.kind != "sqlite":
        return {}
    members = call.rooms.members()
    without = sorted(uid for uid, head in members.heads.items() if not head.url and uid != members.self_uid)
    return {"not_asked": without} if without else {}


def _done(files: Sequence[TrashedFile], kept: Sequence[Kept]) -> Answer:
    return Answer([_trashed(file) for file in files], meta=_totals(files), beside={"kept": kept})


def _trashed(file: TrashedFile) -> dict[str, Any]:
    return {"filename": file.filename, "slot": file.slot, "size": file.size, "removed": timestamp(file.deleted)}


def _totals(files: Sequence[TrashedFile]) -> dict[str, int]:
    return {"files": len(files), "bytes": sum(file.size for file in files)}

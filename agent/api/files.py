"""The files room over HTTP: what is unused, removing it, the trash, what the objects refer to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

from msgspec import Struct

from agent.api.answers import READS, TURN, Answers, together
from agent.api.call import Answer, Call
from agent.api.query import Number, Text
from agent.api.scope import SCOPE, scoped
from agent.errors import Conflict, Invalid, NotFound, Unavailable
from agent.files.survey import timestamp
from agent.model import Kept, Progress, StoredFile, TrashedFile


class FilesRemove(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /head/files/remove; `filenames` as GET /head/files/unused lists them."""

    filenames: frozenset[str]


class FilesRestore(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /head/files/restore; `slot` as GET /head/files/trash lists it, the newest copies without."""

    filenames: tuple[str, ...]
    slot: str | None = None


class NamesRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /head/files/references."""

    filenames: tuple[str, ...]


class Totals(TypedDict):
    """How many files, and their bytes together."""

    files: int
    bytes: int


class SurveyMeta(Totals):
    """What a pass over the store looked at; `took` is seconds."""

    scanned: int
    took: float
    not_asked: NotRequired[list[str]]
    """The heads, registered by hand and without a url, that could not be asked what their objects refer to."""


class RemovalMeta(SurveyMeta):
    """Beside the files that were removed, or would be."""

    refused: NotRequired[str]
    """Why a removal would not be done without `force`; with `dry_run`."""


class Scoped(TypedDict):
    """Beside what every head answered."""

    scope: str
    heads: int
    failed: list[str]


class Trashed(TypedDict):
    """A file in the trash; `removed` is RFC 3339 UTC."""

    filename: str
    slot: str
    size: int
    removed: str


class Counted(TypedDict):
    """How many filenames there are."""

    files: int


class UnusedThere(TypedDict):
    """What one head answered, or why it did not."""

    data: NotRequired[list[StoredFile] | None]
    meta: NotRequired[RemovalMeta]
    kept: NotRequired[list[Kept]]
    reason: NotRequired[str]
    code: NotRequired[str]


class TrashThere(TypedDict):
    """What one head answered, or why it did not."""

    data: NotRequired[list[Trashed] | None]
    meta: NotRequired[Totals]
    reason: NotRequired[str]
    code: NotRequired[str]


_SURVEYED = together(READS, {Invalid: ("invalid",), Unavailable: ("head-not-asked",)})
UNUSED = Answers(data=(list[StoredFile], dict[str, UnusedThere]), meta=(SurveyMeta, Scoped), fails=_SURVEYED)
REMOVED = Answers(
    data=(list[StoredFile], dict[str, UnusedThere]),
    meta=(RemovalMeta, Scoped),
    beside={"kept": NotRequired[list[Kept]]},
    fails=together(_SURVEYED, TURN, {Conflict: ("suspicious",)}),
    partial=list[StoredFile],
)
REMOVED_NAMED = Answers(
    data=list[StoredFile],
    meta=RemovalMeta,
    beside={"kept": list[Kept]},
    fails=together(READS, TURN, {Unavailable: ("head-not-asked",), Conflict: ("suspicious",)}),
    partial=list[StoredFile],
)
PROGRESS = Answers(data=Progress | None)
REFERENCES = Answers(data=list[str], meta=Counted, fails=together(READS, {Invalid: ("invalid",)}))
NAMED = Answers(data=list[str], fails=READS)
TRASH = Answers(
    data=(list[Trashed], dict[str, TrashThere]), meta=(Totals, Scoped), fails=together(READS, {Invalid: ("invalid",)})
)
RESTORED = Answers(
    data=list[Trashed],
    meta=Totals,
    beside={"kept": list[Kept]},
    fails={Conflict: ("exists",), NotFound: ("not-found",), Unavailable: ("unavailable",)},
)
EMPTIED = Answers(data=list[Trashed], meta=Totals, beside={"kept": list[Kept]}, fails={Unavailable: ("unavailable",)})

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


async def remove(call: Call) -> Answer:
    """Move those of the unused files to the trash that are named."""
    request = await call.body_as(FilesRemove)
    call.about["filename"] = sorted(request.filenames)
    return await _remove(call, request.filenames)


async def progress(call: Call) -> Answer:
    """How far the survey or the removal has come that is under way; null where none is."""
    return Answer(call.rooms.collector.progress)


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
    return await _remove(call, None)


async def _remove(call: Call, filenames: frozenset[str] | None) -> Answer:
    removal = await call.rooms.collector.remove(filenames, dry_run=call.flag("dry_run"), force=call.flag("force"))
    call.about |= {"files": len(removal.removed), "bytes": removal.meta["bytes"]}
    return Answer(removal.removed, meta={**removal.meta, **_caveat(call)}, beside={"kept": removal.kept})


async def _list_trash(call: Call) -> Answer:
    trash = await call.rooms.collector.trash.listing()
    return Answer([_trashed(file) for file in trash], meta=_totals(trash))


async def restore(call: Call) -> Answer:
    """Put removed files back in their places."""
    request = await call.body_as(FilesRestore)
    call.about["filename"] = list(request.filenames)
    restored, kept = await call.rooms.collector.trash.restore(request.filenames, request.slot)
    return _done(restored, kept)


async def empty_trash(call: Call) -> Answer:
    """Remove everything in the trash for good."""
    gone, kept = await call.rooms.collector.trash.empty()
    call.about |= _totals(gone)
    return _done(gone, kept)


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

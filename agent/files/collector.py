"""The files room: finds unused files, removes them so that they can be brought back, keeps the trash."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from agent.config import Live
from agent.errors import Conflict, Unavailable
from agent.files.difference import named_by
from agent.files.housekeeping import Housekeeping
from agent.files.survey import Candidate, Survey, Surveyor, batches
from agent.files.trash import TrashRoom
from agent.files.unused import objection
from agent.loops import Loops, periodic
from agent.model import Kept, StoredFile
from agent.ports import Clock, FileStore, References

log = structlog.get_logger()

_REFERENCED = "is referred to by now"

TIDY = 600.0
"""Seconds between two looks at the trash: nothing signals that a file has become old or that a disk fills up."""


@dataclass(slots=True)
class Removal:
    """What a removal did, or with `dry_run` would do; `kept` are unreferenced files that stay."""

    removed: list[StoredFile] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    meta: dict[str, Any] = field(default_factory=dict)


class Collector:
    """The service behind /head/files. Every method raises Unavailable rather than act on half the truth."""

    def __init__(self, store: FileStore, references: References, live: Live, loops: Loops, clock: Clock) -> None:
        self._store = store
        self._references = references
        self._live = live
        self._surveyor = Surveyor(store, references, live, clock)
        self._loop = loops.add("files", TIDY)
        self._removing = False
        self._warned = False
        self._looking = False
        self._problem: str | None = None
        self._check_trash = asyncio.Event()
        self.trash = TrashRoom(store, references, live)
        self.housekeeping = Housekeeping(store, references, live, self._surveyor, self.trash)

    async def unused(self) -> Survey:
        """What could be removed now; nothing is changed."""
        return await self._surveyor.survey()

    async def remove(self, *, dry_run: bool = False, force: bool = False) -> Removal:
        """Move the unused files to the trash.

        Raises Conflict: `busy` while another removal is under way, `suspicious` (without `force`) when so much would
        go that it looks like a mistake; then nothing has changed. Unavailable may come in the middle: its `data`
        then lists what was removed until then.
        """
        if dry_run:
            survey = await self._surveyor.survey()
            doubt = _doubt(survey)
            caveat = {} if force or doubt is None else {"refused": doubt}
            return Removal([item.row for item in survey.unused], survey.kept, {**survey.meta, **caveat})
        if self._removing:
            raise Conflict("unused files are being removed already: wait for that to end", code="busy")
        self._removing = True
        try:
            await self._store.prepare()
            survey = await self._surveyor.survey()
            doubt = _doubt(survey)
            if doubt and not force:
                raise Conflict(f"{doubt} Look at ?dry_run=1 first; ?force=1 insists.", code="suspicious")
            return await self._remove(survey)
        finally:
            self._removing = False

    async def references(self) -> list[str]:
        """The filenames that this head's objects refer to, in walk order."""
        return [name async for batch in self._references.references() for name in batch]

    async def problem(self) -> str | None:
        """Why files cannot be removed now, one sentence; None when they can. However many ask, one look is taken."""
        if not self._looking:
            self._looking = True
            try:
                await self._store.prepare()
            except Unavailable as err:
                self._problem = err.reason
            else:
                self._problem = None
            finally:
                self._looking = False
        return self._problem

    async def run(self) -> None:
        """Keep the trash as it should be, for ever."""
        await periodic(self._loop, self._tidy, wake=self._check_trash)

    async def _tidy(self) -> None:
        await self._store.prepare()
        if not self._store.trusted and not self._warned:
            self._warned = True
            log.warning(
                "File store lies on a filesystem where open files may go unnoticed",
                effect="files younger than a day are never unused, whatever files.min_age says",
                todo="put the file store on ext4",
            )
        await self.trash.tidy()

    async def _remove(self, survey: Survey) -> Removal:
        removal = Removal(kept=list(survey.kept))
        try:
            for batch in batches(survey.unused):
                await self._remove_batch(batch, removal)
        except Unavailable as err:
            self._check_trash.set()  # what was removed last may have to go back: look again as soon as that is possible
            raise Unavailable(err.reason, data=removal.removed, beside={"kept": removal.kept}) from err
        finally:
            size = sum(row.size for row in removal.removed)
            removal.meta = {**survey.meta, "files": len(removal.removed), "bytes": size}
            if removal.removed:
                log.info("Unused files removed", files=len(removal.removed), bytes=size, kept=len(removal.kept))
        return removal

    async def _remove_batch(self, batch: Sequence[Candidate], removal: Removal) -> None:
        """Ask for the references just before, since the survey took its time, and once more just after."""
        named = await self._named(batch)
        going = [candidate for candidate in batch if candidate.row.filename not in named]
        reasons = await self._store.discard([candidate.facts for candidate in going])
        moved: list[Candidate] = []
        for candidate, reason in zip(going, reasons, strict=True):
            if reason is None:
                moved.append(candidate)
            else:
                removal.kept.append(Kept(candidate.row.filename, reason))
        removal.removed += [candidate.row for candidate in moved]
        removal.kept += [Kept(filename, _REFERENCED) for filename in sorted(named)]
        back = await self.trash.rescue(await self._named(moved))
        removal.removed = [row for row in removal.removed if row.filename not in back]
        removal.kept += [Kept(filename, _REFERENCED) for filename in sorted(back)]

    async def _named(self, candidates: Sequence[Candidate]) -> set[str]:
        filenames = [candidate.row.filename for candidate in candidates]
        return await named_by(self._references.references(), filenames, str(self._live.config.files.root))


def _doubt(survey: Survey) -> str | None:
    return objection(len(survey.unused), survey.scanned, survey.references)

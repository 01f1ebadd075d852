"""The files room: finds unused files, removes them so that they can be brought back, keeps the trash."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from agent.config import Live
from agent.errors import AgentError, Conflict, Unavailable
from agent.files.housekeeping import Housekeeping
from agent.files.survey import BATCH, Candidate, Survey, Surveyor, Surveys, batches, named
from agent.files.trash import Moved, TrashRoom
from agent.files.unused import objection
from agent.loops import Loops, periodic
from agent.model import Kept, Progress, StoredFile
from agent.ports import Clock, FileStore, References
from agent.records.turns import Turn, Turns

log = structlog.get_logger()

_REFERENCED = "is referred to by now"
_NAMED = "is referred to"
_NO_FILE = "is not in the store, or is no regular file"
_UNCERTAIN = "was put back: whether an object refers to it could not be asked again"
_WORK = "remove unused files"

TIDY = 600.0
"""Seconds between two looks at the trash: nothing signals that a file has become old or that a disk fills up."""


@dataclass(slots=True)
class Removal:
    """What a removal did, or with `dry_run` would do; `kept` are unreferenced files that stay."""

    removed: list[StoredFile] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    meta: dict[str, Any] = field(default_factory=dict)


class Collector:
    """The service behind /head/files. Every method raises Unavailable rather than act on half the truth.

    `references` are those of all heads, `own` those of this head's store.
    """

    def __init__(
        self,
        store: FileStore,
        references: References,
        own: References,
        turns: Turns,
        live: Live,
        loops: Loops,
        clock: Clock,
    ) -> None:
        self._store = store
        self._references = references
        self._turns = turns
        self._surveyor = Surveyor(store, references, live, clock)
        self._loop = loops.add("files", TIDY)
        self._removing = False
        self._moved: Progress | None = None
        self._warned = False
        self._looking = False
        self._problem: str | None = None
        self._check_trash = asyncio.Event()
        self.removed = Moved()
        self.trash = TrashRoom(store, references, own, turns, live)
        self.housekeeping = Housekeeping(store, references, live, self._surveyor, self.trash)

    @property
    def surveys(self) -> Surveys:
        """The figures of the surveys until now."""
        return self._surveyor.past

    @property
    def progress(self) -> Progress | None:
        """How far the removal, or the survey, has come that is under way; None where none is."""
        return self._moved or self._surveyor.progress

    async def unused(self) -> Survey:
        """What could be removed now; nothing is changed."""
        return await self._surveyor.survey()

    async def remove(
        self, filenames: Collection[str] | None = None, *, dry_run: bool = False, force: bool = False
    ) -> Removal:
        """Move the unused files to the trash, or those of them that are named; any other of these is kept.

        Raises Conflict: `busy` while another removal is under way (in the cluster, where its heads share a store),
        `minority`, or `suspicious` (without `force`) when so much would go that it looks like a mistake; then nothing
        has changed. Unavailable, or Conflict for a turn that was lost, may come in the middle: `data` then lists
        what was removed until then.
        """
        if dry_run:
            survey = await self._sought(filenames)
            doubt = _doubt(survey)
            caveat = {} if force or doubt is None else {"refused": doubt}
            return Removal([item.row for item in survey.unused], survey.kept, {**survey.meta, **caveat})
        if self._removing:
            raise Conflict("unused files are being removed already: wait for that to end", code="busy")
        self._removing = True
        try:
            async with self._turns.turn(_WORK) as turn:
                await self._store.prepare()
                survey = await self._sought(filenames)
                doubt = _doubt(survey)
                if doubt and not force:
                    raise Conflict(f"{doubt} Look at ?dry_run=1 first; ?force=1 insists.", code="suspicious")
                return await self._remove(survey, turn)
        finally:
            self._removing = False

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
        await self.trash.look()
        await self.trash.tidy()

    async def _sought(self, filenames: Collection[str] | None) -> Survey:
        """A survey, of which only those files are left that are named, if any are."""
        survey = await self._surveyor.survey()
        if filenames is None:
            return survey
        unused = [candidate for candidate in survey.unused if candidate.row.filename in filenames]
        kept = [item for item in survey.kept if item.filename in filenames]
        others = set(filenames) - {item.row.filename for item in unused} - {item.filename for item in kept}
        named = await self._references.named(others)
        kept += [Kept(name, _NAMED if name in named else _NO_FILE) for name in sorted(others)]
        return replace(survey, unused=unused, kept=kept)

    async def _remove(self, survey: Survey, turn: Turn) -> Removal:
        removal = Removal(kept=list(survey.kept))
        try:
            for number, batch in enumerate(batches(survey.unused)):
                self._moved = Progress(number * BATCH, len(survey.unused), "move files to the trash")
                await self._remove_batch(batch, removal, turn, survey.links)
        except (Unavailable, Conflict) as err:
            self._check_trash.set()  # what was removed last may have to go back: look again as soon as that is possible
            beside = {"kept": removal.kept}
            raise type(err)(err.reason, code=err.code, data=removal.removed, beside=beside) from err
        finally:
            self._moved = None
            size = sum(row.size for row in removal.removed)
            removal.meta = {**survey.meta, "files": len(removal.removed), "bytes": size}
            self.removed.add(row.size for row in removal.removed)
            if removal.removed:
                log.info("Unused files removed", files=len(removal.removed), bytes=size, kept=len(removal.kept))
        return removal

    async def _remove_batch(
        self, batch: Sequence[Candidate], removal: Removal, turn: Turn, links: Mapping[str, str]
    ) -> None:
        """Ask for the references just before, since the survey took its time, and once more just after.

        Each time the turn is renewed first: what is read after that is at least as new.
        """
        await turn.renew()
        named = await self._named(batch, links)
        going = [candidate for candidate in batch if candidate.row.filename not in named]
        reasons = await self._store.discard([candidate.facts for candidate in going])
        removal.kept += [Kept(filename, _REFERENCED) for filename in sorted(named)]
        moved: list[Candidate] = []
        for candidate, reason in zip(going, reasons, strict=True):
            if reason is None:
                moved.append(candidate)
            else:
                removal.kept.append(Kept(candidate.row.filename, reason))
        facts = [candidate.facts for candidate in moved]
        back: set[str] = set()
        why = _REFERENCED
        try:
            await turn.renew()
            back = await self.trash.rescue(await self._named(moved, links), facts)
        except AgentError:
            back, why = await self.trash.undo(facts), _UNCERTAIN
            raise
        finally:
            removal.removed += [candidate.row for candidate in moved if candidate.row.filename not in back]
            removal.kept += [Kept(filename, why) for filename in sorted(back)]

    async def _named(self, candidates: Sequence[Candidate], links: Mapping[str, str]) -> set[str]:
        return await named(self._references, [candidate.row.filename for candidate in candidates], links)


def _doubt(survey: Survey) -> str | None:
    return objection(len(survey.unused), survey.scanned, survey.references)

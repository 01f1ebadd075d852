"""What a database clean needs of the file store: what nobody will miss, and which files are not there."""

from __future__ import annotations

from collections.abc import Sequence

from agent.config import Live
from agent.errors import AgentError, Conflict, NotFound
from agent.files.difference import canonical
from agent.files.expiry import expired
from agent.files.survey import Candidate, Survey, Surveyor
from agent.files.trash import TrashRoom
from agent.files.unused import is_upload
from agent.model import TrashedFile
from agent.ports import FileStore, Leftover, References

UPLOAD = "upload"
TRASH = "trash"

_REFERENCED = "is referred to by now"


class Housekeeping:
    """`StoreHousekeeping` over the file store."""

    def __init__(
        self, store: FileStore, references: References, live: Live, surveyor: Surveyor, trash: TrashRoom
    ) -> None:
        self._store = store
        self._references = references
        self._live = live
        self._surveyor = surveyor
        self._trash = trash

    async def leftovers(self) -> list[Leftover]:
        """Dead uploads and expired trash."""
        survey = await self._surveyor.survey()
        uploads = [
            Leftover(UPLOAD, item.row.filename, "a dead upload", item.row.size)
            for item in survey.unused
            if is_upload(item.row.filename)
        ]
        if not (old := await self._expired()):
            return uploads
        needed = await self._trash.lacking(await self._references.named({file.filename for _, file in old}))
        return uploads + [
            Leftover(TRASH, name, "expired trash", file.size) for name, file in old if file.filename not in needed
        ]

    async def discard(self, leftover: Leftover) -> int:
        """Check once more, then remove it: an upload into the trash, trash for good."""
        if leftover.kind == UPLOAD:
            return await self._discard_upload(leftover.target)
        found = dict(await self._expired()).get(leftover.target)
        if found is None:
            raise NotFound("is not in the trash any more")
        if await self._trash.lacking(await self._named(found.filename)):
            raise Conflict(_REFERENCED)
        kept = await self._trash.expire([found])
        if kept:
            raise Conflict(kept[0].reason)
        return found.size

    async def missing(self, filenames: Sequence[str]) -> list[str]:
        """Those that are not in the store."""
        spellings = {name: {name, canonical(name)} for name in filenames}
        sought = sorted(set[str]().union(*spellings.values()))
        there = {facts.filename for facts in await self._store.facts(sought) if facts.regular}
        return [name for name in filenames if there.isdisjoint(spellings[name])]

    async def _discard_upload(self, filename: str) -> int:
        if await self._named(filename):
            raise Conflict(_REFERENCED)
        survey = Survey(0.0)
        await self._surveyor.judge(survey, [filename])
        if survey.kept:
            raise Conflict(survey.kept[0].reason)
        if not survey.unused:
            raise NotFound("is not there any more")
        candidate: Candidate = survey.unused[0]
        (reason,) = await self._store.discard([candidate.facts])
        if reason:
            raise Conflict(reason)
        try:
            named = await self._named(filename)
        except AgentError:
            await self._trash.undo([candidate.facts])
            raise
        if await self._trash.rescue(named, [candidate.facts]):
            raise Conflict(_REFERENCED)
        return candidate.facts.size

    async def _named(self, filename: str) -> set[str]:
        return await self._references.named([filename])

    async def _expired(self) -> list[tuple[str, TrashedFile]]:
        """Each expired file of the trash, by the name that a leftover has."""
        trash = await self._store.trash()
        if not trash:
            return []
        old = expired(trash, await self._store.now(), self._live.config.files.trash_ttl)
        return [(f"{file.slot}/{file.filename}", file) for file in old]

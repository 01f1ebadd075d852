"""The trash: what was removed and can be brought back, until its time is over or the disk is full."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import structlog

from agent.config import Live
from agent.errors import Conflict, FieldError, Invalid, NotFound, Unavailable
from agent.files.expiry import expired, may_go_early
from agent.files.survey import batches
from agent.model import FileFacts, Kept, TrashedFile
from agent.ports import FileStore, References
from agent.records.turns import Turns

log = structlog.get_logger()


@dataclass(slots=True)
class Moved:
    """Files and bytes since the agent started."""

    files: int = 0
    bytes: int = 0

    def add(self, sizes: Iterable[int]) -> None:
        """Count some more."""
        for size in sizes:
            self.files += 1
            self.bytes += size


class TrashRoom:
    """Lists, restores, empties, and keeps the trash as it should be."""

    def __init__(self, store: FileStore, references: References, own: References, turns: Turns, live: Live) -> None:
        self._store = store
        self._references = references
        self._own = own
        self._turns = turns
        self._live = live
        self.restored, self.purged, self.content = Moved(), Moved(), Moved()
        """What was put back, what was removed for good, and what was here when it was last looked at."""
        self.usage: float | None = None
        """How full the store's disk was then, in percent."""

    async def listing(self) -> list[TrashedFile]:
        """What can be restored, the oldest first. Raises Unavailable."""
        return await self._store.trash()

    async def restore(self, filenames: Sequence[str], slot: str | None = None) -> tuple[list[TrashedFile], list[Kept]]:
        """Put files back, of each the one removed last, or the one in `slot`; what was, and what was not, and why.

        All are checked before anything is done. Raises Invalid, NotFound or Conflict (something in the place):
        then nothing has changed.
        """
        if not filenames:
            raise Invalid("no file is named: give some of those that the trash lists")
        if twice := [name for name, times in Counter(filenames).items() if times > 1]:
            raise Invalid("files are named twice", fields=_errors(twice, "is named twice"))
        newest = {file.filename: file for file in await self._store.trash() if slot in (None, file.slot)}
        if absent := [name for name in filenames if name not in newest]:
            raise NotFound(
                "files are not in the trash (GET /head/files/trash lists what is), so none was restored",
                fields=_errors(absent, "is not there"),
            )
        if taken := await self._store.facts(filenames):
            errors = _errors([facts.filename for facts in taken], "exists")
            raise Conflict("files exist in the store again: move them away first", code="exists", fields=errors)
        wanted = [newest[name] for name in filenames]
        restored, kept = await self._put_back(wanted)
        if restored:
            log.info("Files restored", files=len(restored), kept=len(kept), first=restored[0].filename)
        return restored, kept

    async def empty(self) -> tuple[list[TrashedFile], list[Kept]]:
        """Remove everything in the trash for good: what was, and what was not, and why.

        What an object refers to goes back to its place, or where it cannot, stays; while other heads cannot be asked,
        that is what the objects here refer to. Raises Unavailable.
        """
        filenames = {file.filename for file in await self._store.trash()}
        try:
            named = await self._references.named(filenames)
        except Unavailable:
            named = await self._own.named(filenames)
        await self.rescue(named)
        needed, trash = await self.lacking(named), await self._store.trash()
        gone, kept = await self._purge([file for file in trash if file.filename not in needed])
        kept += [Kept(file.filename, "is referred to by an object") for file in trash if file.filename in needed]
        if gone:
            log.info("Trash emptied", files=len(gone), bytes=_size(gone), kept=len(kept))
        return gone, kept

    async def expire(self, files: Sequence[TrashedFile]) -> list[Kept]:
        """Remove these files, whose time is over, from the trash for good: what was not, and why."""
        gone, kept = await self._purge(files)
        if gone:
            log.info("Trash expired", files=len(gone), bytes=_size(gone), kept=len(kept))
        return kept

    async def _purge(self, files: Sequence[TrashedFile]) -> tuple[list[TrashedFile], list[Kept]]:
        gone: list[TrashedFile] = []
        kept: list[Kept] = []
        for batch in batches(files):
            _sort(batch, await self._store.purge(batch), gone, kept)
        self.purged.add(file.size for file in gone)
        return gone, kept

    async def tidy(self) -> None:
        """Put back what an object refers to again, and let go what has been here long enough.

        Raises Unavailable, or Conflict in the minority; what this head's own objects refer to is put back all the same.
        """
        trash = await self._store.trash()
        if not trash:
            return
        filenames = {file.filename for file in trash}
        try:
            named = await self._references.named(filenames)
        except Unavailable:
            await self.rescue(await self._own.named(filenames))
            raise
        await self.rescue(named)
        self._turns.check("empty the trash")
        needed = await self.lacking(named)
        trash = [file for file in await self._store.trash() if file.filename not in needed]
        now = await self._store.now()
        old = expired(trash, now, self._live.config.files.trash_ttl)
        await self.expire(old)
        await self._make_room(trash[len(old) :], now)

    async def lacking(self, named: Collection[str]) -> set[str]:
        """Those of these, to which objects refer, that are not in their places: they do not expire.

        It may be that they could not be put back yet. Where there is a newer file in the place, that is the one.
        """
        return set(named) - {facts.filename for facts in await self._store.facts(sorted(named)) if facts.regular}

    async def look(self) -> None:
        """Note what is here and how full the disk is; raises Unavailable."""
        content = Moved()
        content.add(file.size for file in await self._store.trash())
        self.content, self.usage = content, await self._store.usage()

    async def rescue(self, filenames: Collection[str], moved: Collection[FileFacts] = ()) -> set[str]:
        """Put back one copy of each of these, to which an object refers, where nothing is in its place.

        It is the newest, or of what has just been `moved` that very file: where the clock was set back, another copy
        may seem newer. An object may be pointed at a file just as it is removed, or at one that was; returns which
        were put back.
        """
        restored, kept = await self._put_one_back(filenames, moved)
        for file in restored:
            log.warning("File put back: an object refers to it", filename=file.filename)
        for item in kept:
            log.warning(
                "File cannot be put back, though an object refers to it", filename=item.filename, reason=item.reason
            )
        return {file.filename for file in restored}

    async def undo(self, moved: Collection[FileFacts]) -> set[str]:
        """Put back what has just been removed, as it is not certain that it may go; returns what was put back."""
        restored, kept = await self._put_one_back({facts.filename for facts in moved}, moved)
        if moved:
            log.warning("Removal undone: the references cannot be asked", files=len(restored), left=len(kept))
        return {file.filename for file in restored}

    async def _put_one_back(
        self, filenames: Collection[str], moved: Collection[FileFacts]
    ) -> tuple[list[TrashedFile], list[Kept]]:
        if not filenames:
            return [], []
        taken = {facts.filename for facts in await self._store.facts(sorted(filenames))}
        inodes = {facts.filename: facts.inode for facts in moved}
        copies = [file for file in await self._store.trash() if file.filename in filenames]
        wanted = {file.filename: file for file in copies if file.inode == inodes.get(file.filename, file.inode)}
        return await self._put_back([file for name, file in sorted(wanted.items()) if name not in taken])

    async def _make_room(self, trash: Sequence[TrashedFile], now: int) -> None:
        """Let the oldest go early while the disk is fuller than the watermark."""
        early: list[TrashedFile] = []
        kept: list[Kept] = []
        for file in may_go_early(trash, now):
            if await self._store.usage() <= self._live.config.files.trash_watermark:
                break
            _sort([file], await self._store.purge([file]), early, kept)
        self.purged.add(file.size for file in early)
        if early:
            log.warning(
                "Trash let go early: the disk is fuller than files.trash_watermark",
                files=len(early),
                bytes=_size(early),
                todo="free space on the file store's disk, or raise files.trash_watermark",
            )

    async def _put_back(self, files: Sequence[TrashedFile]) -> tuple[list[TrashedFile], list[Kept]]:
        restored: list[TrashedFile] = []
        kept: list[Kept] = []
        for batch in batches(files):
            _sort(batch, await self._store.restore(batch), restored, kept)
        self.restored.add(file.size for file in restored)
        return restored, kept


def _errors(filenames: Sequence[str], reason: str) -> list[FieldError]:
    return [FieldError("filenames", f"{filename} {reason}") for filename in filenames]


def _size(files: Sequence[TrashedFile]) -> int:
    return sum(file.size for file in files)


def _sort(
    files: Sequence[TrashedFile], reasons: Sequence[str | None], done: list[TrashedFile], kept: list[Kept]
) -> None:
    for file, reason in zip(files, reasons, strict=True):
        if reason is None:
            done.append(file)
        else:
            kept.append(Kept(file.filename, reason))

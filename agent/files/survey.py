"""The survey of the file store: what is unused now, what is not quite, and why."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TypeVar

import structlog

from agent.config import Live
from agent.errors import Unavailable
from agent.files.unused import least_age, listable, why_kept, why_unused
from agent.model import FileFacts, Kept, Progress, StoredFile, rfc3339
from agent.ports import Clock, FileStore, References

log = structlog.get_logger()

T = TypeVar("T")

BATCH = 1000
"""Files that are looked at in one go: what else waits for the store's thread waits no longer than that."""


_LED_TO = "is where a symbolic link leads that an object refers to"


@dataclass(frozen=True, slots=True)
class Candidate:
    """An unused file, with the facts that were judged: they must still hold when it is removed."""

    facts: FileFacts
    row: StoredFile


@dataclass(slots=True)
class Survey:
    """What one pass over the store found. `kept` are unreferenced files that stay nevertheless.

    `links` are the store's symbolic links, with where they lead.
    """

    started: float
    unused: list[Candidate] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    scanned: int = 0
    references: int = 0
    unreferenced: int = 0
    took: float = 0.0
    links: dict[str, str] = field(default_factory=dict)

    @property
    def meta(self) -> dict[str, Any]:
        """What stands beside the files in an answer: bytes and seconds."""
        return {
            "files": len(self.unused),
            "bytes": sum(candidate.facts.size for candidate in self.unused),
            "scanned": self.scanned,
            "took": round(self.took, 3),
        }


@dataclass(slots=True)
class Surveys:
    """What has been found so far; of a survey only its figures are kept, however many files it found."""

    done: int = 0
    failed: int = 0
    seconds: float = 0.0
    """That those took which were done."""
    ended: float | None = None
    """When the last one was done, monotonic."""
    scanned: int = 0
    referenced: int = 0
    unused: int = 0
    unused_bytes: int = 0
    kept: int = 0

    def note(self, survey: Survey) -> None:
        """Take the figures of one that has just been done."""
        self.done += 1
        self.seconds += survey.took
        self.ended = survey.started + survey.took
        self.scanned = survey.scanned
        self.referenced = survey.scanned - survey.unreferenced
        self.unused, self.unused_bytes = len(survey.unused), sum(item.facts.size for item in survey.unused)
        self.kept = len(survey.kept)


class Surveyor:
    """Makes surveys, one at a time: who asks while one is under way shares the next, which begins after they asked."""

    def __init__(self, store: FileStore, references: References, live: Live, clock: Clock) -> None:
        self._store = store
        self._references = references
        self._live = live
        self._clock = clock
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._last: Survey | None = None
        self._judged: Progress | None = None
        self.past = Surveys()

    @property
    def progress(self) -> Progress | None:
        """How far the survey under way has come. The last one tells how many files there are to walk past."""
        if self._judged is not None or not self._turn.locked():
            return self._judged
        seen = self._store.scanned
        return Progress(seen, self.past.scanned if self.past.scanned >= seen else 0, "walk through the store")

    async def survey(self) -> Survey:
        """A survey that began after this call. Raises Unavailable when anything could not be read."""
        asked = self._clock.monotonic()
        self._waiting += 1
        try:
            async with self._turn:
                if self._last is None or self._last.started <= asked:
                    self._last = await self._counted()
                return self._last
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._last = None

    async def _counted(self) -> Survey:
        try:
            survey = await self._survey()
        except Unavailable:
            self.past.failed += 1
            raise
        self.past.note(survey)
        return survey

    async def _survey(self) -> Survey:
        survey = Survey(self._clock.monotonic())
        sighting = await self._store.unreferenced(self._references.references())
        survey.scanned, survey.references = sighting.scanned, sighting.references
        survey.unreferenced, survey.links = len(sighting.unreferenced), sighting.links
        needed = await named(self._references, sighting.unreferenced, sighting.links) if sighting.links else set[str]()
        survey.kept = [Kept(filename, _LED_TO) for filename in sighting.unreferenced if filename in needed]
        await self.judge(survey, [filename for filename in sighting.unreferenced if filename not in needed])
        survey.took = self._clock.monotonic() - survey.started
        log.debug("File store surveyed", unused=len(survey.unused), scanned=survey.scanned, took=round(survey.took, 3))
        return survey

    async def judge(self, survey: Survey, filenames: Sequence[str]) -> None:
        """Sort files that no object refers to into what is unused and what is kept; adds to `survey`."""
        now = await self._store.now()
        min_age = least_age(self._live.config.files.min_age, trusted=self._store.trusted)
        try:
            for number, batch in enumerate(batches(filenames)):
                self._judged = Progress(number * BATCH, len(filenames), "look at what no object refers to")
                await self._judge_batch(survey, batch, now, min_age)
        finally:
            self._judged = None

    async def _judge_batch(self, survey: Survey, batch: Sequence[str], now: int, min_age: float) -> None:
        ripe: list[FileFacts] = []
        for facts in await self._store.facts([name for name in batch if listable(name)]):
            if not facts.regular:
                continue
            if reason := why_kept(facts, now, min_age):
                survey.kept.append(Kept(facts.filename, reason))
            else:
                ripe.append(facts)
        for facts, look in zip(ripe, await self._store.look(ripe), strict=True):
            if look.busy:
                survey.kept.append(Kept(facts.filename, look.busy))
            else:
                survey.unused.append(Candidate(facts, row(facts, look.kind)))


async def named(references: References, filenames: Sequence[str], links: Mapping[str, str]) -> set[str]:
    """Those of the files that an object refers to, by their own names or by that of a symbolic link to them."""
    sought = set(filenames)
    leading = {link: end for link, end in links.items() if end in sought}
    return {leading.get(name, name) for name in await references.named([*filenames, *leading])}


def row(facts: FileFacts, kind: str) -> StoredFile:
    """An unused file as it is listed."""
    return StoredFile(facts.filename, kind, facts.size, timestamp(facts.mtime), why_unused(facts.filename))


def timestamp(nanoseconds: int) -> str:
    """A time of the filesystem as it is on the wire; what no calendar can say becomes its nearest end."""
    seconds = min(max(nanoseconds / 10**9, _FIRST), _LAST)
    return rfc3339(datetime.fromtimestamp(seconds, UTC))


_FIRST = datetime(1, 1, 1, tzinfo=UTC).timestamp()
_LAST = datetime(9999, 12, 31, tzinfo=UTC).timestamp()


def batches(items: Sequence[T], size: int = BATCH) -> Iterator[list[T]]:
    """The items, so many at a time."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch

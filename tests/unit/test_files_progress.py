"""How far a survey or a removal has come, as whoever asks meanwhile is told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest
from typing_extensions import override

from agent.errors import Unavailable
from agent.files.survey import BATCH
from agent.model import FileFacts, Look, Progress
from tests.support.files import FilesRoom, SetReferences
from tests.support.memory_files import MemoryFiles

UNUSED = 2 * BATCH + 5


@dataclass
class Asked(MemoryFiles):
    """A store that asks at each piece of work how far the room says that it is."""

    told: list[Progress | None] = field(default_factory=list)
    room: FilesRoom | None = None

    def ask(self) -> None:
        assert self.room is not None
        self.told.append(self.room.collector.progress)

    @override
    async def look(self, files: Sequence[FileFacts]) -> list[Look]:
        self.ask()
        return await super().look(files)

    @override
    async def discard(self, files: Sequence[FileFacts]) -> list[str | None]:
        self.ask()
        return await super().discard(files)


@dataclass
class AskedReferences(SetReferences):
    """References whose reader asks, too."""

    files: Asked = field(default_factory=Asked)

    @override
    async def references(self) -> AsyncIterator[Sequence[str]]:
        async for batch in super().references():
            yield batch
            self.files.ask()


@pytest.fixture
def files() -> Asked:
    files = Asked()
    for name in ("a", "b", "c", *(f"n{number:05d}" for number in range(UNUSED))):
        files.put(name)
    return files


def walking(seen: int, of: int) -> Progress:
    return Progress(seen, of, "walk through the store")


async def test_a_walk_counts_the_files_and_knows_of_how_many_from_the_last(files: Asked) -> None:
    references = AskedReferences({"a", "b", "c"}, batch=1, files=files)
    room = files.room = FilesRoom(files, references)
    assert room.collector.progress is None

    await room.collector.unused()
    assert files.told[:3] == [walking(1, 0), walking(2, 0), walking(3, 0)]

    files.told.clear()
    await room.collector.unused()
    assert files.told[:3] == [walking(seen, UNUSED + 3) for seen in (1, 2, 3)]
    assert room.collector.progress is None


async def test_the_last_walk_tells_nothing_once_there_are_more_files(files: Asked) -> None:
    references = AskedReferences({"a", "b", "c"}, batch=1, files=files)
    room = files.room = FilesRoom(files, references)
    everything = dict(files.files)
    files.files = {"a": everything["a"]}
    await room.collector.unused()
    files.files = everything
    files.told.clear()

    await room.collector.unused()

    assert files.told[:3] == [walking(1, 1), walking(2, 0), walking(3, 0)]


async def test_what_is_looked_at_and_moved_is_counted_batch_by_batch(files: Asked) -> None:
    room = files.room = FilesRoom(files, SetReferences({"a", "b", "c"}))
    await room.collector.remove(force=True)
    batches = [0, BATCH, 2 * BATCH]
    looked = [Progress(done, UNUSED, "look at what no object refers to") for done in batches]
    moved = [Progress(done, UNUSED, "move files to the trash") for done in batches]
    assert files.told == looked + moved
    assert room.collector.progress is None


async def test_what_fails_is_not_under_way_any_more(files: Asked) -> None:
    references = SetReferences({"a", "b", "c"})
    room = files.room = FilesRoom(files, references)
    references.away = "the database is away"
    with pytest.raises(Unavailable):
        await room.collector.remove()
    assert room.collector.progress is None

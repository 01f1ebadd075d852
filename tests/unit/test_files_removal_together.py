"""A removal among several heads: what comes between its questions, and the turn that it may lose."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from typing_extensions import override

from agent.errors import Conflict, Unavailable
from agent.files.everywhere import Company, EveryHead
from agent.files.survey import BATCH
from agent.model import Kind
from agent.ports import Change, PeerAnswer, Put
from agent.records.turns import LOCK
from tests.support.answering_references import answering
from tests.support.files import FilesRoom, SetReferences
from tests.support.memory_files import MemoryFiles
from tests.support.memory_store import MemoryStore
from tests.support.peers import Asked, MemoryPeers
from tests.support.skipping import without_waiting

B, C = "b" * 32, "c" * 32


class ActingStore(MemoryStore):
    """Does something before each commit."""

    before: Callable[[int], None] = staticmethod(lambda _commit: None)
    commits = 0

    @override
    async def commit(self, *changes: Change) -> int:
        self.commits += 1
        self.before(self.commits)
        return await super().commit(*changes)


class World:
    """This head with one file that is unused, and two others that say what their objects refer to."""

    def __init__(self, *, shared: bool = False) -> None:
        self.files = MemoryFiles()
        for name in ("used", "also", "unused"):
            self.files.put(name)
        self.own = SetReferences({"used", "also"})
        self.others = {B: SetReferences(), C: SetReferences()}
        self.peers = MemoryPeers({uid: answering(references) for uid, references in self.others.items()})
        self.members = {B}
        self.records = ActingStore(kind="etcd" if shared else "sqlite")
        company = lambda: Company(shared, dict.fromkeys(sorted(self.members)))  # noqa: E731
        everywhere = EveryHead(self.own, self.peers, company)
        self.room = FilesRoom(self.files, self.own, everywhere=everywhere, records=self.records)

    def on_question(self, number: int, act: Callable[[], None]) -> None:
        """Have `act` done just before head B answers its question of that number about some files."""
        answer = answering(self.others[B])
        asked = 0

        async def respond(question: Asked) -> PeerAnswer:
            nonlocal asked
            asked += question.method == "POST"
            if asked == number and question.method == "POST":
                act()
            return await answer(question)

        self.peers.heads[B] = respond


async def test_what_another_heads_object_refers_to_stays() -> None:
    world = World()
    world.others[B].names = {"./unused"}
    assert (await world.room.collector.remove()).removed == []
    assert "unused" in world.files.files


async def test_a_head_that_joins_between_the_two_questions_is_asked_the_second() -> None:
    world = World()
    world.others[C].names = {"unused"}
    world.on_question(2, lambda: world.members.add(C))
    removal = await world.room.collector.remove()
    assert (removal.removed, [item.filename for item in removal.kept]) == ([], ["unused"])
    assert "unused" in world.files.files


async def test_when_a_head_goes_away_before_the_second_question_the_removal_is_undone() -> None:
    world = World()
    world.on_question(2, lambda: world.peers.away.update({B: "powered off"}))
    with pytest.raises(Unavailable) as stopped:
        await world.room.collector.remove()
    assert (stopped.value.code, stopped.value.data) == ("head-not-asked", [])
    assert "put back" in stopped.value.beside["kept"][0].reason
    assert "unused" in world.files.files


async def test_nothing_goes_while_a_head_is_away_and_its_trash_does_not_expire() -> None:
    world = World()
    await world.room.collector.remove()
    world.files.move(10**7)
    world.files.put("another")
    world.peers.away[B] = "powered off"
    for work in (world.room.collector.remove(), world.room.collector.unused(), world.room.collector.trash.tidy()):
        with pytest.raises(Unavailable, match="powered off"):
            await work
    assert (len(world.files.trashed), "another" in world.files.files) == (1, True)


async def test_what_this_heads_own_objects_refer_to_comes_back_though_another_is_away() -> None:
    world = World()
    await world.room.collector.remove()
    world.own.names.add("unused")
    world.peers.away[B] = "powered off"
    with pytest.raises(Unavailable):
        await world.room.collector.trash.tidy()
    assert "unused" in world.files.files


async def test_a_reference_that_was_written_before_the_turn_is_renewed_is_seen() -> None:
    """What is read after a renewal is at least as new as that: so the renewal comes before each question."""
    for commit, kept in ((2, "unused"), (3, "unused")):
        world = World(shared=True)
        world.records.before = lambda n, at=commit, own=world.own: own.names.update({"unused"} if n == at else ())  # type: ignore[misc]
        removal = await world.room.collector.remove()
        assert [item.filename for item in removal.kept] == [kept]
        assert "unused" in world.files.files


async def test_a_second_removal_in_the_cluster_is_a_conflict_that_names_the_first() -> None:
    world = World(shared=True)
    await world.records.commit(
        Put(Kind.LOCK, LOCK, {"work": "clean the database", "holder": B, "run": "1", "since": "today"})
    )
    with pytest.raises(Conflict, match=f"head {B} has the lock, to clean the database, since today") as refused:
        await world.room.collector.remove()
    assert refused.value.code == "busy"
    world.room.gone.add(B)
    assert len((await world.room.collector.remove()).removed) == 1
    assert await world.records.get(Kind.LOCK, LOCK) is None


async def test_a_removal_that_loses_its_turn_stops_and_tells_what_it_did() -> None:
    world = World(shared=True)
    for n in range(2 * BATCH):
        world.files.put(f"n{n:05d}")

    def rob(commit: int) -> None:
        if commit == 4:  # the lock, twice for the first batch, and now for the second
            world.records._rows.clear()

    world.records.before = rob
    with pytest.raises(Conflict) as lost:
        await world.room.collector.remove(force=True)
    assert (lost.value.code, len(lost.value.data)) == ("lock-lost", BATCH)
    assert len(world.files.trashed) == BATCH


@without_waiting
async def test_a_batch_whose_turn_is_lost_before_its_second_question_is_undone() -> None:
    world = World(shared=True)
    world.records.before = lambda commit: setattr(world.records, "age", 3.0 if commit == 3 else world.records.age)
    with pytest.raises(Unavailable) as stopped:
        await world.room.collector.remove()
    assert stopped.value.code == "no-quorum"
    assert "unused" in world.files.files


async def test_in_the_minority_nothing_is_removed_and_no_trash_expires() -> None:
    world = World()
    await world.room.collector.remove()
    world.files.move(10**7)
    world.files.put("another")
    world.room.minority = True
    for work in (world.room.collector.remove(), world.room.collector.trash.tidy()):
        with pytest.raises(Conflict) as refused:
            await work
        assert refused.value.code == "minority"
    assert (len(world.files.trashed), "another" in world.files.files) == (1, True)

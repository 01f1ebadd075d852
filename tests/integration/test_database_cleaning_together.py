"""A clean among several heads: what is left of those that are gone, whose turn it is, one member at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typing_extensions import override

from agent.database.cleaning import Cleaned
from agent.errors import Conflict, Failed, Unavailable
from agent.model import Kind, Progress
from agent.ports import Change, Put
from agent.records.turns import LOCK
from tests.support.database import DatabaseRoom, uid
from tests.support.memory_store import MemoryStore

DEFRAGMENTS = [f"defragment:{uid(number)}" for number in (1, 2, 3)]


class Engine(MemoryStore):
    """A shared engine; `failing` are actions that fail, `done` those that were done, in order."""

    def __init__(self, **work: int) -> None:
        super().__init__(kind="etcd", work=work)
        self.failing: frozenset[str] = frozenset()
        self.done: list[str] = []
        self.commits = 0
        self.robbed_at: int | None = None
        self.reclaimed: Callable[[], object] = lambda: None

    @override
    async def reclaim(self, action: str) -> int:
        if action in self.failing:
            raise Failed("that member does not answer")
        self.done.append(action)
        self.reclaimed()
        return await super().reclaim(action)

    @override
    async def commit(self, *changes: Change) -> int:
        self.commits += 1
        if self.commits == self.robbed_at:
            await super().commit(lock_of(3))
        return await super().commit(*changes)


async def test_how_far_a_clean_has_come_can_be_asked_while_it_goes_on(tmp_path: Path) -> None:
    engine = Engine(**dict.fromkeys(DEFRAGMENTS, 100))
    room = DatabaseRoom(tmp_path, engine)
    seen: list[Progress | None] = []
    engine.reclaimed = lambda: seen.append(room.cleaner.progress)

    await room.cleaner.clean()

    assert seen == [Progress(number, 3, f"{defragment} etcd") for number, defragment in enumerate(DEFRAGMENTS)]
    assert room.cleaner.progress is None


def lock_of(number: int) -> Put:
    """The lock as head `number` would hold it."""
    return Put(Kind.LOCK, LOCK, {"work": "clean the database", "holder": uid(number), "run": "1", "since": "today"})


@pytest.fixture
def engine() -> Engine:
    """An engine with work to do on each of three members."""
    return Engine(**{"compact": 10, **dict.fromkeys(DEFRAGMENTS, 100), "disarm": 0})


@pytest.fixture
async def room(tmp_path: Path, engine: Engine) -> DatabaseRoom:
    """Two heads in the cluster, what is left of a third, and a tombstone that is over."""
    room = DatabaseRoom(tmp_path / "backups", store=engine)
    await room.head(1)
    await room.head(2)
    await room.tombstone(4, days_ago=31)
    for number in (2, 3):
        await engine.commit(Put(Kind.VERDICT, uid(number), {"state": "down"}))
    await engine.commit(Put(Kind.LOCK, "another", {"work": "x", "holder": uid(3), "run": "1", "since": ""}))
    await engine.commit(Put(Kind.LOCK, "unreadable", {"of": "another version"}))
    return room


async def test_what_is_left_of_heads_that_are_gone_is_forgotten_and_nothing_else(room: DatabaseRoom) -> None:
    done = await room.cleaner.clean()
    assert [(a.kind, a.target) for a in done.performed if a.action == "forget"] == [
        ("tombstone", uid(4)),
        ("verdict", uid(3)),
        ("lock", "another"),
    ]
    assert [record.uid for record in await room.store.records(Kind.VERDICT)] == [uid(2)]
    assert [record.uid for record in await room.store.records(Kind.LOCK)] == ["unreadable"]


async def test_the_lock_that_a_gone_head_left_is_taken_over_and_changes_no_plan(
    room: DatabaseRoom, engine: Engine
) -> None:
    shown = (await room.cleaner.plan()).plan
    await engine.commit(lock_of(3))
    room.gone.add(uid(3))
    assert (await room.cleaner.clean(shown)).skipped == []
    assert await engine.get(Kind.LOCK, LOCK) is None


async def test_a_head_that_joins_meanwhile_keeps_what_is_said_of_it(room: DatabaseRoom) -> None:
    class Joining(Engine):
        @override
        async def backup(self, target: Path) -> int:
            await room.head(3)
            return await super().backup(target)

    done = await room.cleaner_of(Joining()).clean()
    assert {(s.kind, s.reason) for s in done.skipped} == {
        ("verdict", "is needed again"),
        ("lock", "is needed again"),
    }


async def test_the_engines_work_is_done_one_by_one_in_its_order_after_the_backup(
    room: DatabaseRoom, engine: Engine
) -> None:
    done = await room.cleaner.clean()
    assert done.backup
    assert engine.done == ["compact", *DEFRAGMENTS, "disarm"]


async def test_after_a_piece_of_the_engines_work_that_failed_no_other_is_begun(
    room: DatabaseRoom, engine: Engine
) -> None:
    engine.failing = frozenset({DEFRAGMENTS[1]})
    done = await room.cleaner.clean()
    assert engine.done == ["compact", DEFRAGMENTS[0]]
    assert [(s.action, s.reason) for s in done.skipped] == [
        (DEFRAGMENTS[1], "that member does not answer"),
        (DEFRAGMENTS[2], "was not begun, since the engine's work before it failed"),
        ("disarm", "was not begun, since the engine's work before it failed"),
    ]


async def test_a_clean_while_another_head_is_at_it_is_a_conflict_and_changes_nothing(
    room: DatabaseRoom, engine: Engine
) -> None:
    await engine.commit(lock_of(2))
    revision = engine.revision
    with pytest.raises(Conflict) as refused:
        await room.cleaner.clean()
    assert (refused.value.code, engine.revision, engine.done) == ("busy", revision, [])
    assert await room.backups.listing() == []


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 7])
async def test_a_clean_that_loses_its_turn_stops_at_once_and_tells_what_it_did(
    room: DatabaseRoom, engine: Engine, steps: int
) -> None:
    engine.robbed_at = engine.commits + 1 + steps
    with pytest.raises(Conflict) as lost:
        await room.cleaner.clean()
    assert lost.value.code == "lock-lost"
    told = lost.value.data
    assert isinstance(told, Cleaned)
    assert [action.action for action in told.performed if action.kind == "engine"] == engine.done
    assert len(told.performed) < len(told.actions)
    record = await engine.get(Kind.LOCK, LOCK)
    assert record is not None
    assert record.body["holder"] == uid(3)
    await room.cleaner_of(engine).plan()


async def test_without_quorum_or_in_the_minority_nothing_is_cleaned_but_the_plan_is_shown(
    room: DatabaseRoom, engine: Engine
) -> None:
    room.minority = True
    with pytest.raises(Conflict) as refused:
        await room.cleaner.clean()
    assert refused.value.code == "minority"
    room.minority = False
    engine.age = 9.0
    with pytest.raises(Unavailable) as away:
        await room.cleaner.clean()
    assert away.value.code == "no-quorum"
    assert (await room.cleaner.plan()).actions
    assert (engine.done, await room.backups.listing()) == ([], [])

"""A clean shows what it would do, does that behind a backup, and finishes what was cut off."""

from __future__ import annotations

import asyncio
import copy
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from agent.database.cleaning import FINDINGS_SHOWN, Cleaner
from agent.errors import AgentError, Conflict, Unavailable
from agent.model import Kind
from agent.ports import Leftover, Put
from tests.support.database import DatabaseRoom, uid
from tests.support.housekeeping import MemoryHousekeeping
from tests.support.memory_store import MemoryStore
from tests.support.turns import always

UPLOAD = Leftover("upload", "rocky.img.part", "nobody writes to it", 500)
TRASH = Leftover("trash", "old.iso", "its time in the trash is over", 700)


@pytest.fixture
async def room(tmp_path: Path) -> DatabaseRoom:
    """A room with one of each kind of thing to clean, and things to leave alone."""
    room = DatabaseRoom(tmp_path / "backups", housekeeping=MemoryHousekeeping([UPLOAD, TRASH], ["here.img"]))
    await room.head(1)
    await room.tombstone(2, days_ago=31)
    await room.tombstone(3, days_ago=1)
    await room.store.commit(Put(Kind.IMAGE, uid(5), {"content": {"filename": "here.img"}}, "rocky"))
    room.store.work = {"vacuum": 4096}
    return room


async def test_plan_lists_what_would_be_done_and_changes_nothing(room: DatabaseRoom) -> None:
    revision = room.store.revision
    plan = await room.cleaner.plan()
    assert [(a.action, a.kind, a.target) for a in plan.actions] == [
        ("forget", "tombstone", uid(2)),
        ("remove", "trash", "old.iso"),
        ("remove", "upload", "rocky.img.part"),
        ("vacuum", "engine", "sqlite"),
    ]
    assert plan.totals == {"actions": 4, "bytes": 500 + 700 + 4096, "findings": 0}
    assert plan == await room.cleaner.plan()
    assert (room.store.revision, len(room.housekeeping.left), list(room.directory.glob("*"))) == (revision, 2, [])


async def test_clean_does_all_of_the_plan_behind_a_backup(room: DatabaseRoom) -> None:
    plan = await room.cleaner.plan()
    done = await room.cleaner.clean(plan.plan)
    assert (done.plan, done.actions, done.skipped) == (plan.plan, plan.actions, [])
    assert [a.target for a in done.performed] == [a.target for a in plan.actions]
    assert await room.tombstones() == [uid(3)]
    assert not room.housekeeping.left
    assert [backup.name for backup in await room.backups.listing()] == [done.backup.name if done.backup else None]
    assert (await room.cleaner.plan()).actions == []


async def test_backup_is_of_the_database_before_the_first_change(room: DatabaseRoom) -> None:
    done = await room.cleaner.clean()
    assert done.backup
    await room.store.restore(room.directory / done.backup.name)
    assert await room.tombstones() == [uid(2), uid(3)]


async def test_clean_with_nothing_to_do_makes_no_backup(room: DatabaseRoom) -> None:
    await room.cleaner.clean()
    done = await room.cleaner.clean()
    assert (done.actions, done.performed, done.skipped, done.backup) == ([], [], [], None)
    assert len(await room.backups.listing()) == 1


async def test_plan_that_is_no_longer_what_was_shown_is_a_conflict(room: DatabaseRoom) -> None:
    shown = (await room.cleaner.plan()).plan
    await room.tombstone(4, days_ago=90)
    revision = room.store.revision
    with pytest.raises(Conflict) as refused:
        await room.cleaner.clean(shown)
    assert refused.value.code == "plan-changed"
    assert refused.value.data == await room.cleaner.plan()
    assert (room.store.revision, await room.backups.listing()) == (revision, [])


async def test_sizes_may_change_between_plan_and_clean(room: DatabaseRoom) -> None:
    shown = (await room.cleaner.plan()).plan
    room.store.work["vacuum"] = 8192
    assert (await room.cleaner.clean(shown)).skipped == []


async def test_what_is_in_use_again_is_skipped_with_the_reason_and_the_rest_is_done(room: DatabaseRoom) -> None:
    room.housekeeping.in_use.add("old.iso")
    done = await room.cleaner.clean()
    assert [(s.target, s.reason) for s in done.skipped] == [("old.iso", "is in use again")]
    assert len(done.performed) == 3
    assert [a.target for a in (await room.cleaner.plan()).actions] == ["old.iso"]


async def test_head_that_joins_again_during_the_clean_keeps_nothing_from_it(room: DatabaseRoom) -> None:
    class Rejoining(MemoryStore):
        @override
        async def backup(self, target: Path) -> int:
            await room.tombstone(2, days_ago=0, generation=7)
            return await MemoryStore.backup(room.store, target)

    cleaner = _cleaner(room, engine=Rejoining())
    done = await cleaner.clean()
    assert [(s.target, s.reason) for s in done.skipped] == [(uid(2), "is needed again")]
    assert await room.tombstones() == [uid(2), uid(3)]


async def test_second_clean_backup_or_restore_meanwhile_is_turned_away(room: DatabaseRoom) -> None:
    class Slow(MemoryStore):
        entered, release = asyncio.Event(), asyncio.Event()

        @override
        async def backup(self, target: Path) -> int:
            self.entered.set()
            await self.release.wait()
            return await super().backup(target)

    engine = Slow()
    backups = room.backups_of(engine)
    turns = always(room.store, room.store)
    cleaner = Cleaner(room.store, room.store, room.housekeeping, backups, turns, room.live, room.clock)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(cleaner.clean())
        await engine.entered.wait()
        for second in (cleaner.clean(), backups.make(), backups.restore("x")):
            with pytest.raises(Conflict) as refused:
                await second
            assert refused.value.code == "busy"
        assert (await cleaner.plan()).actions
        engine.release.set()
    assert first.result().skipped == []
    assert (await cleaner.clean()).performed == []


async def test_without_room_for_a_backup_nothing_is_changed(room: DatabaseRoom) -> None:
    class Huge(MemoryStore):
        @override
        async def backup_size(self) -> int:
            return 2**62

    revision, cleaner = room.store.revision, _cleaner(room, engine=Huge())
    with pytest.raises(Unavailable) as refused:
        await cleaner.clean()
    assert refused.value.code == "no-backup"
    assert "nothing was changed" in refused.value.reason
    assert (room.store.revision, len(room.housekeeping.left)) == (revision, 2)


async def test_dangling_references_are_findings_and_never_touched(room: DatabaseRoom) -> None:
    body: dict[str, Any] = {"image": "nowhere", "kernel": {"filename": "vmlinuz"}}
    await room.store.commit(Put(Kind.BOOTCONFIG, uid(6), body, "b"))
    for found in ((await room.cleaner.plan()).findings, (await room.cleaner.clean()).findings):
        assert {(f.kind, f.uid, f.field, f.target) for f in found} == {
            ("bootconfig", uid(6), "image", "nowhere"),
            ("bootconfig", uid(6), "kernel.filename", "vmlinuz"),
        }
    record = await room.store.get(Kind.BOOTCONFIG, uid(6))
    assert record is not None
    assert record.body == body


async def test_findings_are_bounded_and_counted(room: DatabaseRoom) -> None:
    files = [{"filename": f"gone-{n}"} for n in range(FINDINGS_SHOWN + 5)]
    await room.store.commit(Put(Kind.IMAGE, uid(7), {"files": files}, "many"))
    plan = await room.cleaner.plan()
    assert (len(plan.findings), plan.totals["findings"]) == (FINDINGS_SHOWN, FINDINGS_SHOWN + 5)


async def test_without_the_file_store_the_rest_is_cleaned_and_no_file_is_called_missing(room: DatabaseRoom) -> None:
    room.housekeeping.away = "the store's directory cannot be read"
    done = await room.cleaner.clean()
    assert [a.kind for a in done.performed] == ["tombstone", "engine"]
    assert [(f.kind, f.target) for f in done.findings] == [("store", "files")]


async def test_without_the_database_there_is_no_plan(room: DatabaseRoom) -> None:
    room.store.problem = "it is damaged"
    for work in (room.cleaner.plan(), room.cleaner.clean()):
        with pytest.raises(Unavailable):
            await work


async def test_backup_just_made_survives_a_clock_that_was_set_back(room: DatabaseRoom) -> None:
    room.keep(backups=2)
    for _ in range(2):
        room.clock.move(1)
        await room.backups.make()
    room.clock.set_back(3600)
    done = await room.cleaner.clean()
    assert done.backup
    assert done.backup.name in [backup.name for backup in await room.backups.listing()]
    assert len(await room.backups.listing()) == 2


def _cleaner(room: DatabaseRoom, engine: MemoryStore) -> Cleaner:
    return room.cleaner_of(engine)


class Killed(BaseException):
    """The process ends here."""


class Fuse:
    """Ends the process at the n-th thing done through it, before or after that thing."""

    def __init__(self, target: Any, steps: int) -> None:
        self._target, self._steps = target, steps

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._target, name)
        if name not in ("commit", "discard", "reclaim", "backup"):
            return method

        async def burning(*args: Any) -> Any:
            self._steps -= 1
            if self._steps == 0:
                raise Killed
            done = await method(*args)
            self._steps -= 1
            if self._steps == 0:
                raise Killed
            return done

        return burning


worlds = st.fixed_dictionaries(
    {
        "ages": st.lists(st.sampled_from([0, 29, 31, 60]), max_size=4),
        "leftovers": st.lists(st.sampled_from("abcd"), unique=True),
        "work": st.dictionaries(st.sampled_from(["checkpoint", "vacuum", "optimize"]), st.integers(0, 9)),
        "backups": st.integers(0, 4),
        "kept": st.integers(1, 3),
    }
)


@settings(max_examples=60)
@given(worlds, st.integers(1, 20), st.sampled_from(["store", "housekeeping", "engine"]))
def test_clean_cut_off_anywhere_and_run_again_ends_as_one_that_was_not(
    world: dict[str, Any], steps: int, where: str
) -> None:
    with tempfile.TemporaryDirectory() as place:
        whole = asyncio.run(_cleaned(Path(place, "whole"), world, None, 0))
        twice = asyncio.run(_cleaned(Path(place, "twice"), world, where, steps))
        assert twice == whole


async def _cleaned(directory: Path, world: dict[str, Any], where: str | None, steps: int) -> Any:
    """What is left after a clean, or after one that was cut off and a second one."""
    room = DatabaseRoom(directory)
    room.keep(world["kept"])
    for number, days in enumerate(world["ages"]):
        await room.tombstone(number, days)
    for name in world["leftovers"]:
        room.housekeeping.left["upload", name] = Leftover("upload", name, "dead", 1)
    room.keep(100)
    for _ in range(world["backups"]):
        room.clock.move(1)
        await room.backups.make()
    room.keep(world["kept"])
    room.store.work = dict(world["work"])
    untouched = copy.deepcopy(await room.store.records(Kind.IMAGE))
    if where is not None:
        fused = {"store": room.store, "housekeeping": room.housekeeping, "engine": room.store}
        fused[where] = Fuse(fused[where], steps)
        backups = room.backups_of(fused["engine"])  # type: ignore[arg-type]
        turns = always(fused["store"], fused["engine"])  # type: ignore[arg-type]
        cleaner = Cleaner(
            fused["store"],  # type: ignore[arg-type]
            fused["engine"],  # type: ignore[arg-type]
            fused["housekeeping"],  # type: ignore[arg-type]
            backups,
            turns,
            room.live,
            room.clock,
        )
        try:
            await cleaner.clean()
        except Killed:
            room.clock.move(1)
    await room.cleaner.clean()
    assert (await room.cleaner.plan()).actions == []
    assert await room.store.records(Kind.IMAGE) == untouched
    kept = await room.backups.listing()
    assert len(kept) <= world["kept"]
    assert sorted(p.name for p in directory.glob("*")) == sorted(b.name for b in kept)
    return await room.tombstones(), sorted(room.housekeeping.left), room.store.work


@settings(max_examples=40)
@given(worlds)
def test_after_a_clean_there_is_nothing_left_to_plan(world: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as place:
        asyncio.run(_cleaned(Path(place, "b"), world, None, 0))


def test_answers_can_be_encoded(tmp_path: Path) -> None:
    async def answers() -> list[object]:
        room = DatabaseRoom(tmp_path, housekeeping=MemoryHousekeeping([UPLOAD]))
        try:
            await room.cleaner.clean("wrong")
        except AgentError as err:
            return [err.data, await room.cleaner.clean()]
        raise AssertionError

    for answer in asyncio.run(answers()):
        assert msgspec.json.decode(msgspec.json.encode(answer))["totals"]["actions"] == 1

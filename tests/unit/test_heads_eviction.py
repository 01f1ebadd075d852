"""The guards of removal: what DELETE /heads/down leaves alone, and when nothing is removed at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from agent.errors import Conflict, Unavailable
from agent.heads.eviction import Limits, check_quorum, check_standing, reason_to_keep
from agent.heads.liveness import Condition, Outlook, Standing, State
from agent.model import Kind
from agent.ports import ABSENT, Attachment, EngineMember, Put
from tests.support.head_records import HeadRoom, body
from tests.support.memory_store import MemoryStore
from tests.support.people import ME, OTHER, PEER

LIMITS = Limits(evict_after=600.0, suspect=3.0)
DOWN = Condition(State.DOWN, "then", "later")


def outlook(condition: Condition, stopped: float | None = None) -> Outlook:
    return Outlook(Standing.MAJORITY, "local", {PEER: condition}, {} if stopped is None else {PEER: stopped})


@pytest.mark.parametrize("state", [State.UP, State.SUSPECT, State.UNKNOWN])
def test_only_a_head_that_is_down_goes(state: State) -> None:
    assert str(state) in str(reason_to_keep(PEER, outlook(Condition(state)), LIMITS))


def test_a_head_that_died_silently_goes_at_once() -> None:
    assert reason_to_keep(PEER, outlook(DOWN), LIMITS) is None


@pytest.mark.parametrize(("stopped", "kept"), [(0.0, True), (599.0, True), (600.0, False)])
def test_a_head_that_stopped_in_order_has_time_to_come_back(stopped: float, *, kept: bool) -> None:
    reason = reason_to_keep(PEER, outlook(DOWN, stopped), LIMITS)
    assert (reason is not None and "heads.evict_after" in reason) is kept


@pytest.mark.parametrize(("ages", "kept"), [({OTHER: 1.0, ME: 90.0}, True), ({OTHER: 9.0}, False), ({}, False)])
def test_a_head_that_somebody_hears_again_stays_though_the_verdict_stands(
    ages: dict[str, float], *, kept: bool
) -> None:
    reason = reason_to_keep(PEER, outlook(Condition(State.DOWN, heard_by=ages)), LIMITS)
    assert (reason is not None and "coming back" in reason) is kept


def test_the_farewell_of_a_stopped_head_does_not_count_as_hearing_it_again() -> None:
    heard = Condition(State.DOWN, heard_by={ME: 0.5})
    assert reason_to_keep(PEER, outlook(heard, 0.5), Limits(evict_after=0.0, suspect=3.0)) is None


def test_a_head_nothing_is_known_of_stays() -> None:
    assert reason_to_keep(OTHER, outlook(DOWN), LIMITS) is not None


def test_without_quorum_the_way_out_is_named() -> None:
    check_quorum(None)
    with pytest.raises(Unavailable, match="cw-headctl database recover") as refused:
        check_quorum(12.0)
    assert refused.value.code == "no-quorum"


@pytest.mark.parametrize("standing", [Standing.ALONE, Standing.MAJORITY])
def test_who_may_judge_may_remove(standing: Standing) -> None:
    check_standing(standing)


class Reluctant:
    """An engine that cannot do without some heads; `asked` happens while it is asked about one."""

    kind = "etcd"

    def __init__(self, *needed: str, asked: Callable[[str], None] = lambda _uid: None) -> None:
        self.needed = needed
        self.asked = asked

    async def members(self) -> Sequence[EngineMember]:
        return [EngineMember(uid, "https://10.0.0.1:52392") for uid in self.needed]

    async def objection(self, uid: str) -> str | None:
        self.asked(uid)
        return "the rest would lose quorum" if uid in self.needed else None

    async def invite(self, uid: str, peer_url: str) -> Attachment:
        return Attachment("etcd", "c", {"uid": uid, "peer_url": peer_url})

    async def promote(self, uid: str) -> bool:
        return bool(uid)

    async def dismiss(self, uid: str) -> None:
        self.needed = tuple(needed for needed in self.needed if needed != uid)


async def cluster(store: MemoryStore | None = None, **fields: Any) -> HeadRoom:
    """Three heads, one of them down."""
    room = await HeadRoom(store or MemoryStore(), **fields).start()
    for uid in (PEER, OTHER):
        await room.directory.register(body(uid))
    room.see(Standing.MAJORITY, {ME: Condition(State.UP), PEER: DOWN, OTHER: Condition(State.UP)})
    return room


async def test_a_head_that_just_stopped_in_order_is_kept_with_the_reason() -> None:
    room = await cluster()
    room.see(Standing.MAJORITY, {ME: Condition(State.UP), PEER: DOWN}, {PEER: 60.0})
    done = await room.directory.remove_down()
    assert (done.removed, [row["uid"] for row in done.kept]) == ([], [PEER])
    assert "60 s ago" in done.kept[0]["reason"]
    assert [row["uid"] for row in room.directory.down()] == [PEER]
    room.see(Standing.MAJORITY, {ME: Condition(State.UP), PEER: DOWN}, {PEER: 601.0})
    assert [row["uid"] for row in (await room.directory.remove_down()).removed] == [PEER]


@pytest.mark.parametrize("uids", [[ME, PEER], [ME, PEER, OTHER]])
async def test_without_quorum_nothing_is_removed(uids: list[str]) -> None:
    store = MemoryStore()
    room = await HeadRoom(store).start()
    for uid in uids[1:]:
        await room.directory.register(body(uid))
    room.see(Standing.MAJORITY, dict.fromkeys(uids, DOWN))
    store.age = 7.0
    for attempt in (
        room.directory.remove_down(),
        room.directory.remove_down(dry_run=True),
        room.directory.remove(PEER),
    ):
        with pytest.raises(Unavailable, match="cw-headctl database recover"):
            await attempt
    assert set(room.registry.members.heads) == set(uids)


async def test_in_the_minority_a_head_is_removed_only_by_force() -> None:
    room = await cluster()
    room.see(Standing.MINORITY, {ME: Condition(State.UP)})
    with pytest.raises(Conflict, match="force=1") as refused:
        await room.directory.remove(PEER)
    assert refused.value.code == "minority"
    assert PEER in room.registry.members.heads
    await room.directory.remove(PEER, force=True)
    assert PEER in room.registry.members.tombstones


async def test_an_engine_that_needs_a_head_keeps_it_in_the_cluster() -> None:
    room = await cluster(engine=Reluctant(PEER))
    with pytest.raises(Conflict, match="lose quorum") as refused:
        await room.directory.remove(PEER, force=True)
    assert refused.value.code == "quorum"
    done = await room.directory.remove_down()
    assert (done.removed, [row["uid"] for row in done.kept]) == ([], [PEER])
    assert PEER in room.registry.members.heads
    await room.directory.remove(OTHER)
    assert OTHER in room.registry.members.tombstones


@pytest.mark.parametrize(
    ("standing", "state", "reason"), [(Standing.MAJORITY, State.UP, "up"), (Standing.MINORITY, State.UNKNOWN, "hear")]
)
async def test_a_head_that_is_not_down_any_more_when_its_turn_comes_is_kept(
    standing: Standing, state: State, reason: str
) -> None:
    def asked(uid: str) -> None:
        if uid == OTHER:
            room.see(standing, {ME: Condition(State.UP), OTHER: Condition(state)})

    room = await cluster(engine=Reluctant(asked=asked))
    room.see(Standing.MAJORITY, {ME: Condition(State.UP), PEER: DOWN, OTHER: DOWN})
    done = await room.directory.remove_down()
    assert [row["uid"] for row in done.removed] == [PEER]
    assert [(row["uid"], reason in row["reason"]) for row in done.kept] == [(OTHER, True)]
    assert set(room.registry.members.heads) == {ME, OTHER}
    await room.directory.remove(OTHER, force=True)
    assert set(room.registry.members.heads) == {ME}


async def test_the_verdict_on_a_head_goes_with_it() -> None:
    room = await cluster()
    for uid in (PEER, OTHER):
        await room.store.commit(Put(Kind.VERDICT, uid, {"state": "down"}, expect=ABSENT))
    await room.directory.remove(PEER)
    assert [record.uid for record in await room.store.records(Kind.VERDICT)] == [OTHER]

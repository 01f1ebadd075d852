"""Agreed verdicts: one record per head that is down, and the same answer on all heads."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.config import Config, Live
from agent.errors import Unavailable
from agent.heads.detector import Detector, Judgement
from agent.heads.liveness import Outlook, Standing, State
from agent.heads.verdicts import Verdict, Verdicts, is_disproved
from agent.model import Kind, Record
from agent.ports import ABSENT, Delete, Put
from tests.support.clock import StillClock
from tests.support.logs import log_lines
from tests.support.memory_store import MemoryStore
from tests.support.people import ME, OTHER, PEER, STRANGER, head, members

UIDS = (ME, PEER, OTHER)
UP, SUSPECT, DOWN, UNKNOWN = State.UP, State.SUSPECT, State.DOWN, State.UNKNOWN


class SharedHeads:
    """Heads that beat to each other and share one database."""

    def __init__(self, *uids: str, kind: str = "etcd") -> None:
        self.clock = StillClock()
        self.store = MemoryStore(kind=kind)
        self.members = members({uid: head() for uid in uids if uid != ME})
        self.detectors: dict[str, Detector] = {}
        self.verdicts: dict[str, Verdicts] = {}
        self.alive: set[str] = set()
        for uid in uids:
            self.start(uid, "first")

    def start(self, uid: str, boot: str) -> None:
        detector = Detector(lambda: self.members, uid, Live(Config()), self.clock, f"{boot} of {uid}")
        self.detectors[uid] = detector
        self.verdicts[uid] = Verdicts(self.store, self.store, lambda: self.members, detector, self.clock)
        self.alive.add(uid)

    async def wait(self, seconds: float, *deaf: str) -> None:
        """Let time pass; `deaf` heads are heard and hear nothing."""
        for quarter in range(round(seconds * 4)):
            self.clock.move(0.25)
            for uid in sorted(self.alive):
                self.detectors[uid].tick()
                if quarter % 4 == 3:
                    beat = self.detectors[uid].next_beat()
                    for other in self.alive - {uid, *deaf}:
                        self.detectors[other].heard(beat, self.clock.monotonic())
            await self.settle()

    async def settle(self) -> None:
        """Have the loops of the living turn until none has anything to do."""
        while awake := [uid for uid in sorted(self.alive) if self.verdicts[uid].changed.is_set()]:
            for uid in awake:
                self.verdicts[uid].changed.clear()
                await self.verdicts[uid].reconcile()

    def look(self, uid: str = ME) -> Outlook:
        return self.verdicts[uid].look(replace(self.members, self_uid=uid), self.clock.now())

    def states(self, of: str) -> dict[str, State]:
        return {uid: self.look(uid).conditions[of].state for uid in sorted(self.alive) if uid != of}

    async def records(self) -> list[Record]:
        return await self.store.records(Kind.VERDICT)


@pytest.fixture
async def three() -> SharedHeads:
    heads = SharedHeads(*UIDS)
    await heads.wait(3)
    assert heads.look().verdict == "agreed"
    return heads


async def test_the_first_to_judge_writes_it_and_all_answer_alike(three: SharedHeads) -> None:
    three.alive.discard(OTHER)
    await three.wait(6)
    (record,) = await three.records()
    assert (record.uid, record.body["state"], record.body["clean"]) == (OTHER, "down", False)
    assert record.body["boot"] == f"first of {OTHER}"
    mine, theirs = (three.look(uid).conditions[OTHER] for uid in (ME, PEER))
    assert (mine.state, mine.since, mine.last_seen) == (DOWN, record.body["since"], record.body["last_seen"])
    assert (theirs.state, theirs.since, theirs.last_seen) == (mine.state, mine.since, mine.last_seen)
    before = three.store.revision
    await three.wait(30)
    assert three.store.revision == before, "a verdict is written once"


async def test_a_judgement_that_is_not_agreed_yet_shows_as_suspect(three: SharedHeads) -> None:
    three.alive.discard(OTHER)
    for uid in (ME, PEER):
        three.detectors[uid].on_change(lambda _turns: three.verdicts[ME].changed.clear())
        three.detectors[uid].on_change(lambda _turns: three.verdicts[PEER].changed.clear())
    await three.wait(6)
    assert three.states(OTHER) == {ME: SUSPECT, PEER: SUSPECT}
    await three.verdicts[PEER].reconcile()
    await three.settle()
    assert three.states(OTHER) == {ME: DOWN, PEER: DOWN}


async def test_it_goes_when_the_head_is_up_again(three: SharedHeads) -> None:
    three.alive.discard(OTHER)
    await three.wait(6)
    three.start(OTHER, "second")
    await three.wait(2)
    assert three.states(OTHER) == {ME: DOWN, PEER: DOWN}
    await three.wait(2)
    assert three.states(OTHER) == {ME: UP, PEER: UP}
    assert await three.records() == []


async def test_a_head_that_hears_the_accused_acquits_it_and_the_judge_does_not_insist(three: SharedHeads) -> None:
    body = {"boot": f"first of {OTHER}", "seq": 0, "since": "then", "by": PEER}
    await three.store.commit(Put(Kind.VERDICT, OTHER, body, expect=ABSENT))
    await three.settle()
    assert await three.records() == []
    assert three.states(OTHER) == {ME: UP, PEER: UP}


async def test_a_verdict_on_what_was_not_heard_yet_is_left_alone(three: SharedHeads) -> None:
    body = {"boot": f"first of {OTHER}", "seq": 10_000, "since": "then", "by": PEER, "clean": True}
    await three.store.commit(Put(Kind.VERDICT, OTHER, body, expect=ABSENT))
    await three.settle()
    assert len(await three.records()) == 1
    assert three.states(OTHER) == {ME: DOWN, PEER: DOWN}
    assert three.look().stopped == {OTHER: 0.0}


async def test_a_judge_that_is_overruled_waits_before_it_says_so_again(three: SharedHeads) -> None:
    three.alive -= {OTHER}
    await three.wait(6)
    (record,) = await three.records()
    await three.store.commit(Delete(Kind.VERDICT, OTHER, record.revision))
    await three.settle()
    assert await three.records() == []
    assert three.states(OTHER) == {ME: SUSPECT, PEER: SUSPECT}
    await three.wait(6)
    for uid in (ME, PEER):
        await three.verdicts[uid].reconcile()
    assert [again.uid for again in await three.records()] == [OTHER]


async def test_a_clean_stop_is_agreed_at_once_and_remembered_by_who_starts_later(three: SharedHeads) -> None:
    farewell = three.detectors[OTHER].farewell()
    three.alive.discard(OTHER)
    three.detectors[PEER].heard(farewell, three.clock.monotonic())
    await three.settle()
    assert three.states(OTHER) == {ME: DOWN, PEER: DOWN}
    three.start(ME, "second")
    three.verdicts[ME].changed.set()
    await three.wait(2)
    assert three.look().conditions[OTHER].state is DOWN
    assert OTHER in three.look().stopped


async def test_the_minority_writes_nothing(three: SharedHeads) -> None:
    await three.wait(20, ME)
    assert three.look().standing is Standing.MINORITY
    assert await three.records() == []
    assert {three.look().conditions[uid].state for uid in (PEER, OTHER)} == {UNKNOWN}


async def test_without_quorum_each_head_says_what_it_thinks_itself(three: SharedHeads) -> None:
    three.store.age = 1.0
    three.alive.discard(OTHER)
    await three.wait(6)
    assert await three.records() == []
    assert (three.look().verdict, three.states(OTHER)) == ("local", {ME: DOWN, PEER: DOWN})
    three.store.age = None
    three.verdicts[PEER].changed.set()
    await three.settle()
    assert (three.look().verdict, three.states(OTHER)) == ("agreed", {ME: DOWN, PEER: DOWN})


async def test_with_two_heads_and_no_quorum_the_survivor_says_down() -> None:
    heads = SharedHeads(ME, PEER)
    await heads.wait(3)
    heads.alive.discard(PEER)
    heads.store.age = 0.0
    await heads.wait(6)
    assert (heads.look().verdict, heads.look().standing, heads.states(PEER)) == ("local", Standing.MAJORITY, {ME: DOWN})
    assert await heads.records() == []


async def test_where_nothing_is_shared_nothing_is_written() -> None:
    heads = SharedHeads(*UIDS, kind="sqlite")
    await heads.wait(3)
    heads.alive.discard(OTHER)
    await heads.wait(6)
    assert await heads.records() == []
    assert (heads.look().verdict, heads.states(OTHER)) == ("local", {ME: DOWN, PEER: DOWN})


async def test_a_verdict_on_nobody_goes(three: SharedHeads) -> None:
    body = {"boot": "b", "seq": 1, "since": "then", "by": PEER}
    await three.store.commit(Put(Kind.VERDICT, STRANGER, body, expect=ABSENT))
    await three.settle()
    assert await three.records() == []


async def test_this_head_is_up_to_itself_whatever_the_others_say(three: SharedHeads) -> None:
    body = {"boot": "b", "seq": 10_000, "since": "then", "by": PEER}
    await three.store.commit(Put(Kind.VERDICT, ME, body, expect=ABSENT))
    await three.verdicts[ME].reconcile()
    assert three.look().conditions[ME].state is UP


async def test_a_verdict_that_cannot_be_read_counts_for_nothing(three: SharedHeads) -> None:
    await three.store.commit(Put(Kind.VERDICT, OTHER, {"seq": "x"}, expect=ABSENT))
    with log_lines() as lines:
        await three.settle()
    assert three.states(OTHER) == {ME: UP, PEER: UP}
    assert "Record unreadable" in {line["event"] for line in lines}


async def test_a_database_that_is_away_is_a_failure_that_passes(three: SharedHeads) -> None:
    three.store.problem = "gone"
    with pytest.raises(Unavailable):
        await three.verdicts[ME].reconcile()


@pytest.mark.parametrize(
    ("judged", "disproved"),
    [
        (("b", 6, UP, True), True),
        (("c", 1, UP, True), True),
        (("b", 5, UP, True), False),
        (("b", 6, SUSPECT, True), False),
        (("b", 6, UP, False), False),
    ],
)
def test_only_newer_beats_that_this_head_hears_itself_disprove_a_verdict(
    judged: tuple[str, int, State, bool], *, disproved: bool
) -> None:
    boot, seq, state, hears = judged
    mine = Judgement(state, None, None, boot, seq, clean=False, turned=0.0, hears=hears)
    assert is_disproved(Verdict("b", 5, "then", PEER), mine) is disproved

"""Locks across the heads: who gets one, who loses it, and that no two ever act under valid tokens."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from typing_extensions import override

from agent.errors import Conflict, Stale, Unavailable
from agent.model import Kind, Record
from agent.ports import ABSENT, Put
from agent.records.locks import LAPSE, Holding, Lock, Locks, holder, lapsed
from tests.support.clock import StillClock
from tests.support.memory_store import MemoryStore
from tests.support.skipping import without_waiting

T = TypeVar("T")

A, B, C = "a" * 32, "b" * 32, "c" * 32
NAME = "housekeeping"


class Heads:
    """Some heads' agents over one store, with one clock for all."""

    def __init__(self) -> None:
        self.store = MemoryStore(kind="etcd")
        self.clock = StillClock()
        self.gone: set[str] = set()

    def start(self, uid: str) -> Locks:
        """A head's agent, begun anew."""
        return Locks(self.store, uid, self.clock, self.gone.__contains__)


@pytest.fixture
def heads() -> Heads:
    """Heads that nothing is wrong with."""
    return Heads()


async def test_a_lock_that_is_held_is_refused_with_its_holder_and_its_work(heads: Heads) -> None:
    await heads.start(A).acquire(NAME, "clean the database")
    with pytest.raises(Conflict) as refused:
        await heads.start(B).acquire(NAME, "remove unused files")
    assert refused.value.code == "busy"
    assert A in refused.value.reason
    assert "clean the database" in refused.value.reason
    assert refused.value.data == {"holder": A, "work": "clean the database", "since": "2030-05-01T12:00:00.000Z"}


async def test_of_two_that_ask_at_the_same_moment_one_gets_it(heads: Heads) -> None:
    class Slow(MemoryStore):
        @override
        async def get(self, kind: Kind, uid: str) -> Record | None:
            found = await super().get(kind, uid)
            await asyncio.sleep(0)
            return found

    heads.store = Slow(kind="etcd")
    for askers in ((A, B, C), (B, C)):  # the second time, over the lock of a head that is down
        asked = [heads.start(uid).acquire(NAME, "clean") for uid in askers]
        got = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(one) for one in got] == [Lock, *[Conflict] * (len(askers) - 1)]
        heads.gone = {A}


async def test_a_lock_is_given_back_once_the_store_answers_again(heads: Heads) -> None:
    class Restarting(MemoryStore):
        away = False

        @override
        async def get(self, kind: Kind, uid: str) -> Record | None:
            if self.away:
                self.away = False
                raise Unavailable("no quorum", code="no-quorum")
            return await super().get(kind, uid)

    heads.store = store = Restarting(kind="etcd")
    async with heads.start(A).holding(NAME, "restart a member"):
        store.away = True
    async with heads.start(B).holding(NAME, "restart another"):
        pass


async def test_a_lock_that_was_given_back_is_free(heads: Heads) -> None:
    async with heads.start(A).holding(NAME, "clean"):
        pass
    assert await heads.store.get(Kind.LOCK, NAME) is None
    await heads.start(B).acquire(NAME, "clean")


async def test_each_renewal_has_a_greater_token_and_keeps_the_lock(heads: Heads) -> None:
    lock = await heads.start(A).acquire(NAME, "clean")
    tokens = [lock.token]
    for _ in range(3):
        await lock.renew()
        tokens.append(lock.token)
    assert tokens == sorted(set(tokens))
    record = await heads.store.get(Kind.LOCK, NAME)
    assert record is not None
    assert (record.body["beat"], record.revision, holder(record)) == (3, tokens[-1], A)


async def test_the_lock_of_a_head_that_is_down_is_taken_over_and_lost_to_it(heads: Heads) -> None:
    old = await heads.start(A).acquire(NAME, "clean")
    heads.gone.add(A)
    new = await heads.start(B).acquire(NAME, "remove files")
    with pytest.raises(Conflict, match=f"head {B} has taken over") as lost:
        await old.renew()
    assert lost.value.code == "lock-lost"
    await old.release()
    await new.renew()
    await new.release()


async def test_a_lock_is_taken_over_once_it_was_seen_not_to_move_for_a_minute(heads: Heads) -> None:
    await heads.start(A).acquire(NAME, "clean")
    observer = heads.start(B)
    heads.clock.move(10 * LAPSE)  # nobody has looked yet
    for wait in (0.0, LAPSE - 1):
        heads.clock.move(wait)
        with pytest.raises(Conflict):
            await observer.acquire(NAME, "clean")
    heads.clock.move(1)
    await observer.acquire(NAME, "clean")


async def test_a_lock_that_moves_now_and_then_is_never_taken_over(heads: Heads) -> None:
    lock, observer = await heads.start(A).acquire(NAME, "clean"), heads.start(B)
    for _ in range(10):
        with pytest.raises(Conflict):
            await observer.acquire(NAME, "clean")
        heads.clock.move(LAPSE - 1)
        await lock.renew()


async def test_a_wall_clock_that_is_set_means_nothing(heads: Heads) -> None:
    await heads.start(A).acquire(NAME, "clean")
    observer = heads.start(B)
    for _ in range(2):
        with pytest.raises(Conflict):
            await observer.acquire(NAME, "clean")
        heads.clock.set_back(-100 * LAPSE)


async def test_what_a_killed_agent_of_this_head_left_is_free_at_once(heads: Heads) -> None:
    await heads.start(A).acquire(NAME, "clean")
    await heads.start(A).acquire(NAME, "clean")


async def test_within_one_agent_the_lock_is_held_like_anybody_elses(heads: Heads) -> None:
    locks = heads.start(A)
    async with locks.holding(NAME, "clean"):
        heads.clock.move(10 * LAPSE)
        with pytest.raises(Conflict):
            await locks.acquire(NAME, "remove files")


@without_waiting
async def test_what_could_not_be_given_back_is_free_to_the_same_agent(heads: Heads) -> None:
    locks = heads.start(A)
    async with locks.holding(NAME, "clean"):
        heads.store.age = 1.0
    heads.store.age = None
    assert await heads.store.get(Kind.LOCK, NAME) is not None
    await locks.acquire(NAME, "clean")


async def test_what_could_not_be_given_back_can_be_later_for_the_others(heads: Heads) -> None:
    locks = heads.start(A)
    async with locks.holding(NAME, "restart a member"):
        await locks.give_back_left(NAME)  # it is held
        assert await heads.store.get(Kind.LOCK, NAME) is not None
        heads.store.age = 1.0
    heads.store.age = None
    await heads.start(B).give_back_left(NAME)  # it is another's
    assert await heads.store.get(Kind.LOCK, NAME) is not None
    await locks.give_back_left(NAME)
    await heads.start(B).acquire(NAME, "restart another")


async def test_changes_are_made_with_the_proof_or_not_at_all(heads: Heads) -> None:
    lock = await heads.start(A).acquire(NAME, "clean")
    change = Put(Kind.IMAGE, C, {}, expect=ABSENT)
    await lock.renew(change)
    with pytest.raises(Conflict) as refused:
        await lock.renew(change)
    assert refused.value.code == "exists"
    with pytest.raises(Stale):
        await lock.renew(Put(Kind.IMAGE, C, {"x": 1}, expect=99))
    await lock.renew()
    heads.gone.add(A)
    await heads.start(B).acquire(NAME, "clean")
    with pytest.raises(Conflict) as lost:
        await lock.renew(Put(Kind.IMAGE, C, {"late": True}))
    assert lost.value.code == "lock-lost"
    image = await heads.store.get(Kind.IMAGE, C)
    assert image is not None
    assert image.body == {}


async def test_a_lock_that_cannot_be_read_lapses_only_by_standing_still(heads: Heads) -> None:
    await heads.store.commit(Put(Kind.LOCK, NAME, {"of": "another version"}))
    observer = heads.start(A)
    with pytest.raises(Conflict):
        await observer.acquire(NAME, "clean")
    heads.clock.move(LAPSE)
    await observer.acquire(NAME, "clean")


async def test_without_quorum_there_is_no_lock(heads: Heads) -> None:
    heads.store.age = 3.0
    with pytest.raises(Unavailable):
        await heads.start(A).acquire(NAME, "clean")


HELD: dict[str, Any] = {"self_uid": A, "run": "1", "forgotten": False, "gone": False, "still": 0.0}


@pytest.mark.parametrize(
    ("by", "facts"),
    [
        (Holding("clean", B, "1", ""), {"still": LAPSE}),
        (Holding("clean", B, "1", ""), {"gone": True}),
        (Holding("clean", A, "1", ""), {"forgotten": True}),
        (Holding("clean", A, "2", ""), {}),
    ],
)
def test_a_lock_has_lapsed(by: Holding, facts: dict[str, Any]) -> None:
    assert lapsed(by, **{**HELD, **facts}) is not None


@pytest.mark.parametrize(
    ("by", "facts"),
    [
        (Holding("clean", B, "1", ""), {}),
        (Holding("clean", B, "2", ""), {"forgotten": True, "still": LAPSE - 0.1}),
        (Holding("clean", A, "1", ""), {"still": 10 * LAPSE}),
    ],
)
def test_a_lock_holds(by: Holding, facts: dict[str, Any]) -> None:
    assert lapsed(by, **{**HELD, **facts}) is None


WHO = st.sampled_from([A, B, C])
Held = tuple[Lock, AbstractAsyncContextManager[Lock]]


class Workers(RuleBasedStateMachine):
    """Three heads work through batches under one lock, pausing anywhere, killed, judged down rightly or wrongly.

    What a batch is done with is committed with the proof of the lock, so it is done once, by the one who has it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.heads = Heads()
        self.agents = {uid: self.heads.start(uid) for uid in (A, B, C)}
        self.held: dict[str, Held] = {}
        self.killed: list[Held] = []
        self.done: list[tuple[int, str, int]] = []
        """Of each batch: its number, who did it, and under which token."""

    @rule(uid=WHO)
    def acquire(self, uid: str) -> None:
        """Ask for the lock, unless it is held already as far as this head knows."""
        if uid not in self.held:
            holding = self.agents[uid].holding(NAME, f"work of {uid}")
            if lock := self._try(holding.__aenter__()):
                self.held[uid] = lock, holding

    @rule(uid=WHO)
    def act(self, uid: str) -> None:
        """Do the next batch, if the lock is still held; else stop at once."""
        if uid not in self.held:
            return
        lock, _ = self.held[uid]
        before, batch = self._valid(), len(self.done)
        if self._try(self._act(lock, batch)):
            assert before == [uid]
            self.done.append((batch, uid, lock.token))
        else:
            assert uid not in before
            self.release(uid)

    @rule(uid=WHO)
    def release(self, uid: str) -> None:
        """End the work; if the lock is somebody else's by now, it stays theirs."""
        others = [other for other in self._valid() if other != uid]
        if uid in self.held:
            _, holding = self.held.pop(uid)
            self.runner.run(holding.__aexit__(None, None, None))
        assert [other for other in self._valid() if other != uid] == others

    @rule(uid=WHO)
    def kill(self, uid: str) -> None:
        """The agent is killed and begins anew."""
        if uid in self.held:
            self.killed.append(self.held.pop(uid))  # nothing is done for it any more, not even its clearing up
        self.agents[uid] = self.heads.start(uid)

    @rule(uid=WHO)
    def judge(self, uid: str) -> None:
        """Everybody holds the head to be down, or up again; it need not be so."""
        self.heads.gone ^= {uid}

    @rule(seconds=st.sampled_from([1.0, LAPSE / 2, LAPSE]))
    def pause(self, seconds: float) -> None:
        """All stand still."""
        self.heads.clock.move(seconds)

    @invariant()
    def one_at_most_holds_it(self) -> None:
        """No two tokens are valid, every batch was done once, and tokens only grew."""
        assert len(self._valid()) <= 1
        assert [batch for batch, _, _ in self.done] == list(range(len(self.done)))
        tokens = [token for _, _, token in self.done]
        assert tokens == sorted(set(tokens))

    @override
    def teardown(self) -> None:
        self.runner.close()

    def _valid(self) -> list[str]:
        """The heads whose token is the lock's."""
        record = self.runner.run(self.heads.store.get(Kind.LOCK, NAME))
        return [uid for uid, (lock, _) in self.held.items() if record and lock.token == record.revision]

    @staticmethod
    async def _act(lock: Lock, batch: int) -> bool:
        await lock.renew(Put(Kind.IMAGE, f"{batch:032d}", {}, expect=ABSENT))
        return True

    def _try(self, work: Coroutine[Any, Any, T]) -> T | None:
        try:
            return self.runner.run(work)
        except Conflict:
            return None


TestWorkers = Workers.TestCase
TestWorkers.settings = settings(max_examples=80, stateful_step_count=40)

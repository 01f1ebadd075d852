"""The exchange of the cluster's CA: the order of its steps, what holds it up, going on after a failure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from itertools import count, repeat
from typing import Any

import msgspec
import pytest
from typing_extensions import override

from agent.errors import Conflict, Unavailable
from agent.heads.members import Members
from agent.heads.rotation import SETTLE, Rotation, standing_in_the_way
from agent.model import Head
from agent.ports import SMALL, Authority, CaPair, CaState, PeerAnswer, Peers, Step
from tests.support.clock import StillClock

A, B, C, D = "a" * 32, "b" * 32, "c" * 32, "d" * 32


class MemoryAuthority(Authority):
    """CAs are words; a head's record lists those it believes, as the real one's does."""

    def __init__(self, names: Iterator[str]) -> None:
        self.issuing = "old"
        self.next: str | None = None
        self.former: str | None = None
        self._names = names

    @property
    def believed(self) -> tuple[str, ...]:
        return tuple(ca for ca in (self.issuing, self.next, self.former) if ca)

    @override
    async def state(self) -> CaState:
        return CaState(self.issuing, self.next, self.former)

    @override
    async def propose(self) -> CaPair:
        if self.next is None and self.former is None:
            self.next = next(self._names)
        return CaPair(self.next or self.issuing)

    @override
    async def trust(self, pair: CaPair) -> None:
        if self.issuing != pair.pem:
            self.next = pair.pem

    @override
    async def issue(self) -> None:
        if self.next is not None:
            self.former, self.issuing, self.next = self.issuing, self.next, None

    @override
    async def drop(self) -> None:
        self.former = None


class Gone(Exception):
    """The driver's machine has died between two requests."""


class Cluster(Peers):
    """Heads whose records everybody sees at once."""

    def __init__(self, *uids: str) -> None:
        self.clock = StillClock()
        names = (f"new{number}" for number in count(1))
        self.authorities = {uid: MemoryAuthority(names) for uid in uids}
        self.rotations = {uid: self._rotation(uid) for uid in uids}
        self.away: set[str] = set()
        self.unpinned: set[str] = set()
        self.told: list[tuple[str, str]] = []
        self.dies_after: int | None = None
        self.asked: Callable[[], object] = lambda: None
        self.looked_at: Callable[[str], object] = lambda _: None
        """What happens once a head has said where it stands."""
        self.left_behind: Iterator[list[str]] = repeat([])

    def _rotation(self, uid: str) -> Rotation:
        async def engine() -> str:
            return " ".join(self.authorities[uid].believed)

        async def left_behind() -> list[str]:
            return next(self.left_behind)

        members = partial(self.members, uid)
        return Rotation(self.authorities[uid], self, members, engine, left_behind, _names, self.clock)

    def members(self, self_uid: str) -> Members:
        heads = {uid: self._head(uid) for uid in self.authorities}
        return Members("c", self_uid, heads, {}, 1)

    def _head(self, uid: str) -> Head:
        pin = None if uid in self.unpinned else "ab" * 32
        return Head("ssh-ed25519 x", ca_pem=" ".join(self.authorities[uid].believed), key_sha256=pin)

    @override
    async def ask(
        self,
        uid: str,
        method: str,
        path: str,
        body: Any = None,
        *,
        timeout: float = 10.0,
        headers: Mapping[str, str] | None = None,
        largest: int = SMALL,
    ) -> PeerAnswer:
        if uid in self.away:
            raise Unavailable("it does not answer", code="unreachable")
        rotation = self.rotations[uid]
        if method == "POST":
            if len(self.told) == self.dies_after:
                raise Gone
            self.told.append((uid, body["step"]))
            self.asked()
            state = await rotation.do(Step(body["step"]), CaPair(body["ca"]) if "ca" in body else None)
        else:
            state = await rotation.state()
            self.looked_at(uid)
        return PeerAnswer(200, {"success": True, "data": msgspec.to_builtins(state)})

    @override
    def link(self, uid: str) -> AbstractAsyncContextManager[Callable[[bytes], Awaitable[None]]]:
        raise AssertionError("an exchange sends no heartbeats")


def _names(pem: str) -> tuple[str, ...]:
    return tuple(pem.split())


@pytest.fixture
def cluster() -> Cluster:
    return Cluster(A, B, C)


async def test_all_heads_end_with_the_new_ca_alone(cluster: Cluster) -> None:
    done = await cluster.rotations[A].rotate()
    assert done["heads"] == [A, B, C]
    assert {a.believed for a in cluster.authorities.values()} == {("new1",)}


async def test_no_step_begins_before_every_head_has_ended_the_one_before(cluster: Cluster) -> None:
    await cluster.rotations[A].rotate()
    assert [step for _, step in cluster.told] == ["trust", "trust", "issue", "issue", "drop", "drop"]


async def test_how_far_it_is_can_be_asked_of_the_head_that_drives(cluster: Cluster) -> None:
    told: list[tuple[int, int] | None] = []

    def ask() -> None:
        progress = cluster.rotations[A].progress
        told.append((progress.done, progress.total) if progress else None)

    ask()
    cluster.asked = ask
    await cluster.rotations[A].rotate()
    ask()
    assert told == [None, *((done, 12) for done in (1, 2, 5, 6, 9, 10)), None]


async def test_a_head_alone_exchanges_its_own() -> None:
    alone = Cluster(A)
    await alone.rotations[A].rotate()
    assert alone.authorities[A].believed == ("new1",)


async def test_a_head_that_cannot_be_asked_holds_it_up_before_anything_has_changed(cluster: Cluster) -> None:
    cluster.away.add(B)
    with pytest.raises(Unavailable, match=f"DELETE /head/{B}"):
        await cluster.rotations[A].rotate()
    assert {a.believed for a in cluster.authorities.values()} == {("old",)}


@pytest.mark.parametrize("victim", [A, B])
@pytest.mark.parametrize("issued", [False, True])
async def test_a_ca_that_was_there_before_is_not_the_one_it_ends_with(
    cluster: Cluster, victim: str, *, issued: bool
) -> None:
    planted = cluster.rotations[victim]
    await planted.do(Step.TRUST, CaPair("known-to-a-removed-head"))
    if issued:
        await planted.do(Step.ISSUE, None)
    await cluster.rotations[A].rotate()
    (left,) = {a.believed for a in cluster.authorities.values()}
    assert left[0].startswith("new")
    assert len(left) == 1


async def test_the_new_key_goes_to_no_head_that_another_could_pass_for(cluster: Cluster) -> None:
    cluster.unpinned.add(B)
    with pytest.raises(Conflict, match=f"DELETE /head/{B}"):
        await cluster.rotations[A].rotate()
    assert cluster.told == []
    assert {a.believed for a in cluster.authorities.values()} == {("old",)}


@pytest.mark.parametrize("driver", [A, C])
@pytest.mark.parametrize("after", range(6))
async def test_cut_off_anywhere_a_request_to_any_head_ends_it(cluster: Cluster, after: int, driver: str) -> None:
    cluster.dies_after = after
    with pytest.raises(Gone):
        await cluster.rotations[A].rotate()
    cluster.dies_after = None
    issuers = {a.issuing for a in cluster.authorities.values()}
    assert all(issuers <= set(a.believed) for a in cluster.authorities.values())  # nobody refuses anybody
    await cluster.rotations[driver].rotate()
    (left,) = {a.believed for a in cluster.authorities.values()}
    assert len(left) == 1
    assert left != ("old",)


async def test_no_step_begins_while_the_engine_has_the_member_of_a_removed_head(cluster: Cluster) -> None:
    told: list[int] = []

    def left_behind() -> Iterator[list[str]]:
        while True:
            yield [D]
            told.append(len(cluster.told))
            yield []

    cluster.left_behind = left_behind()
    await cluster.rotations[A].rotate()
    assert told == [0, 0, 2, 4]


async def test_a_removed_heads_member_that_stays_holds_it_up_before_anything_has_changed(cluster: Cluster) -> None:
    def left_behind() -> Iterator[list[str]]:
        while True:
            yield [D]
            cluster.clock.move(SETTLE)

    cluster.left_behind = left_behind()
    with pytest.raises(Unavailable, match=f"the member of head {D}, which was removed"):
        await cluster.rotations[A].rotate()
    assert {a.believed for a in cluster.authorities.values()} == {("old",)}


async def test_nobody_issues_once_another_exchange_has_begun_that_any_head_was_told_of(cluster: Cluster) -> None:
    """It was begun in the same second, on another head: a certificate of the one CA that head would refuse."""

    def overtake() -> None:
        if len(cluster.told) == 2:  # all believe the new one, and this one driver has just seen that
            cluster.authorities[C].next = "theirs"

    cluster.looked_at = lambda uid: overtake() if uid == C else None
    with pytest.raises(Conflict, match=f"head {C}"):
        await cluster.rotations[A].rotate()
    assert [step for _, step in cluster.told] == ["trust", "trust"]
    assert {a.issuing for a in cluster.authorities.values()} == {"old"}

    cluster.looked_at = lambda _: None
    await cluster.rotations[B].rotate()
    (left,) = {a.believed for a in cluster.authorities.values()}
    assert len(left) == 1
    assert left != ("old",)


def test_a_record_that_others_have_not_heard_of_holds_up_the_step() -> None:
    both = ("old", "new")
    late: dict[str, tuple[str, ...]] = {A: both, B: ("old",)}
    states = {A: CaState("old", "new", records=late), B: CaState("old", "new", records={A: both, B: both})}
    assert (
        standing_in_the_way(Step.TRUST, "new", states) == f"head {A} has not heard yet what the record of head {B} says"
    )


def test_an_engine_that_runs_with_the_former_cas_holds_up_the_step() -> None:
    records: dict[str, tuple[str, ...]] = {A: ("old", "new")}
    state = CaState("old", "new", engine=("old",), records=records)
    assert "database engine" in str(standing_in_the_way(Step.TRUST, "new", {A: state}))
    assert standing_in_the_way(Step.TRUST, "new", {A: msgspec.structs.replace(state, engine=("old", "new"))}) is None


def test_a_former_ca_that_anybody_believes_holds_up_the_end() -> None:
    state = CaState("new", former="old", records={A: ("new",)})
    assert "still believes" in str(standing_in_the_way(Step.DROP, "new", {A: state}))
    late = CaState("new", records={A: ("new", "old")})
    assert "has not heard" in str(standing_in_the_way(Step.DROP, "new", {A: late}))

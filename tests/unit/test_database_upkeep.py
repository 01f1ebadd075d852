"""Members of the engine that lack a head, and learners that lack a vote."""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.database.upkeep import JOINING, Due, Upkeep, due
from agent.errors import Conflict
from agent.ports import Attachment, EngineMember
from tests.support.clock import StillClock

ME, OTHER, GONE, NEW = (letter * 32 for letter in "abcd")


def _voter(head: str) -> EngineMember:
    return EngineMember(head, "", healthy=True)


def _learner(head: str) -> EngineMember:
    return EngineMember(head, "", voter=False, healthy=True)


def test_members_that_are_the_heads_are_left_alone() -> None:
    assert due([_voter(ME), _voter(OTHER)], {ME, OTHER}, ME) == Due()


def test_a_member_whose_head_has_no_record_goes_and_the_learner_of_this_head_gets_its_vote() -> None:
    found = due([_voter(OTHER), _voter(GONE), _learner(ME)], {ME, OTHER}, ME)

    assert found == Due(dismiss=(GONE,), promote=(ME,))


def test_another_heads_learner_is_promoted_by_that_head_alone_which_knows_that_it_will_start_it_again() -> None:
    assert due([_voter(ME), _learner(NEW)], {ME, NEW}, ME) == Due()


def test_this_head_never_dismisses_itself() -> None:
    assert due([_voter(ME), _voter(OTHER)], {OTHER}, ME) == Due()


def test_a_learner_without_a_record_is_waited_for() -> None:
    assert due([_voter(ME), _learner(NEW)], {ME}, ME) == Due()
    assert due([_voter(ME), _learner(NEW)], {ME}, ME, {NEW}) == Due(dismiss=(NEW,))


@dataclass
class Members:
    """An engine of members that come and go as they are told."""

    all: dict[str, EngineMember]
    against: str | None = None
    kind: str = "etcd"
    fails: bool = False
    asked: int = 0
    caught_up: bool = True
    gone: list[str] = field(default_factory=list)

    async def members(self) -> list[EngineMember]:
        self.asked += 1
        return list(self.all.values())

    async def objection(self, uid: str) -> str | None:
        return self.against

    async def invite(self, uid: str, peer_url: str) -> Attachment:
        raise NotImplementedError

    async def promote(self, uid: str) -> bool:
        if self.caught_up:
            self.all[uid] = _voter(uid)
        return self.caught_up

    async def dismiss(self, uid: str) -> None:
        if self.fails:
            raise Conflict("no")
        del self.all[uid]
        self.gone.append(uid)


def _upkeep(members: Members, clock: StillClock, *, majority: bool = True) -> Upkeep:
    return Upkeep(members, lambda: {ME, NEW}, lambda: majority, ME, clock)


async def test_a_removed_heads_member_is_dismissed_and_this_heads_learner_promoted() -> None:
    members = Members({head: _voter(head) for head in (NEW, GONE)} | {ME: _learner(ME)})

    await _upkeep(members, StillClock()).reconcile()

    assert set(members.all) == {ME, NEW}
    assert members.all[ME].voter


async def test_a_minority_and_an_embedded_engine_are_left_alone() -> None:
    members = Members({ME: _voter(ME), GONE: _voter(GONE)})
    await _upkeep(members, StillClock(), majority=False).reconcile()
    members.kind = "sqlite"
    await _upkeep(members, StillClock()).reconcile()

    assert members.asked == 0


async def test_an_objection_keeps_the_member_and_a_failure_does_not_end_the_pass() -> None:
    members = Members({ME: _voter(ME), GONE: _voter(GONE), NEW: _learner(NEW)}, against="quorum")
    await _upkeep(members, StillClock()).reconcile()
    assert members.gone == []

    members = Members({ME: _learner(ME), GONE: _voter(GONE), NEW: _voter(NEW)}, fails=True)
    await _upkeep(members, StillClock()).reconcile()
    assert members.all[ME].voter


async def test_a_learner_that_no_head_came_for_goes_after_a_while() -> None:
    clock, members = StillClock(), Members({ME: _voter(ME), OTHER: _learner(OTHER)})
    upkeep = _upkeep(members, clock)
    await upkeep.reconcile()
    clock.move(JOINING - 1)
    await upkeep.reconcile()
    assert members.gone == []

    clock.move(1)
    await upkeep.reconcile()

    assert members.gone == [OTHER]


async def test_the_members_of_the_last_look_are_known_and_none_in_the_minority() -> None:
    engine, side = Members({ME: _voter(ME), OTHER: _voter(OTHER)}), [True]
    upkeep = Upkeep(engine, lambda: {ME, OTHER}, lambda: side[0], ME, StillClock())
    await upkeep.reconcile()
    assert [member.head for member in upkeep.members] == [ME, OTHER]
    side[0] = False
    await upkeep.reconcile()
    assert upkeep.members == ()


async def test_who_was_removed_and_still_has_a_member_is_told_of_etcd_alone() -> None:
    members = Members({ME: _voter(ME), GONE: _voter(GONE), OTHER: _learner(OTHER)})
    assert await _upkeep(members, StillClock()).left_behind() == (GONE,)
    members.kind = "sqlite"
    assert await _upkeep(members, StillClock()).left_behind() == ()

"""The database's age and size, its members, and how many losses it bears."""

from __future__ import annotations

import pytest

from agent.diagnosis.database import DatabaseSeen, database, members, of_one_cause
from agent.diagnosis.finding import Level, failed, in_order, ok, warning
from agent.ports import EngineMember

HEADS = ("a", "b", "c", "d", "e")


def member(head: str, *, well: bool = True, voter: bool = True) -> EngineMember:
    return EngineMember(head, f"https://{head}:52392", voter=voter, healthy=well)


@pytest.mark.parametrize(
    ("seen", "level", "word"),
    [
        (DatabaseSeen("sqlite", 4096, None), Level.OK, "4.0 KiB"),
        (DatabaseSeen("etcd", 2**20, None), Level.OK, "read and written"),
        (DatabaseSeen("etcd", 2**20, 90.0), Level.FAILED, "1 minute old"),
        (DatabaseSeen("etcd", 1_900_000_000, None), Level.WARNING, "2.0 GiB"),
        (DatabaseSeen("etcd", 1_900_000_000, None, adopted=True), Level.OK, "1.8 GiB"),
    ],
)
def test_the_database_is_judged_by_its_age_and_its_size(seen: DatabaseSeen, level: Level, word: str) -> None:
    (finding,) = database(seen)
    assert finding.level is level
    assert word in finding.detail


def test_a_copy_that_is_not_written_any_more_is_told_and_taken_for_no_lost_quorum() -> None:
    fine, copy = found = database(DatabaseSeen("etcd", 4096, None, copy=7200.0))
    assert (fine.level, copy.level, copy.subject) == (Level.OK, Level.WARNING, "copy on this head's disk")
    assert "2 hours old" in copy.detail
    assert of_one_cause(found) == found
    for seen in (
        DatabaseSeen("etcd", 4096, None, copy=300.0),
        DatabaseSeen("etcd", 4096, None),
        DatabaseSeen("sqlite", 4096, None, copy=7200.0),  # of a time before
    ):
        assert len(database(seen)) == 1
    assert len(database(DatabaseSeen("etcd", 4096, 90.0, copy=7200.0))) == 1  # told as what is read


@pytest.mark.parametrize(
    ("voters", "well", "level", "words"),
    [
        (1, 1, Level.OK, "bears no loss"),
        (2, 2, Level.WARNING, "two bear no loss"),
        (3, 3, Level.OK, "3 of 3 members answer; it bears the loss of 1"),
        (3, 2, Level.WARNING, "2 of 3 members answer; it bears no further loss"),
        (3, 1, Level.FAILED, "1 of 3 members answer, and 2 must"),
        (4, 4, Level.OK, "bears the loss of 1"),
        (5, 5, Level.OK, "bears the loss of 2"),
        (5, 4, Level.WARNING, "it bears 1 more"),
        (5, 3, Level.WARNING, "it bears no further loss"),
        (5, 2, Level.FAILED, "and 3 must"),
        (1, 0, Level.FAILED, "0 of 1 members answer, and 1 must"),
    ],
)
def test_who_is_missing_and_how_many_losses_it_bears(voters: int, well: int, level: Level, words: str) -> None:
    heads = HEADS[:voters]
    (finding,) = members([member(head, well=n < well) for n, head in enumerate(heads)], heads, "a")
    assert finding.level is level
    assert words in finding.detail
    if well < voters:
        missing = ["this head" if head == "a" else head for head in heads[well:]]
        assert finding.subject == ", ".join(missing)


def test_without_quorum_the_way_out_is_told() -> None:
    (finding,) = members([member("a"), member("b", well=False)], ("a", "b"), "a")
    assert "cw-headctl database recover" in str(finding.todo)


def test_what_fails_for_want_of_the_quorum_is_told_once_with_who_is_missing() -> None:
    well, other = ok("services", "all services", "2 of 2 up"), warning("clock", "b", "it is off", "set it")
    gone = [member("a"), member("b", well=False), member("c", well=False)]
    found = [
        failed("database", "this head", "cannot reach a quorum of the database's members (timeout)", "bring them back"),
        well,
        failed("database member", "this head", "it has no quorum", "see its journal"),
        *database(DatabaseSeen("etcd", 1, 12.0)),
        *members(gone, ("a", "b", "c"), "a"),
        warning("loops", "this head", "cannot reach a quorum of the database's members (refused)", "mend that"),
        other,
    ]
    told, *rest = in_order(of_one_cause(found))
    assert rest == [other, well]
    assert (told.check, told.subject, told.level) == ("database", "etcd", Level.FAILED)
    assert told.detail == "what is read is 12 s old, and nothing can be written: no quorum; no answer from b, c"
    assert "cw-headctl database recover" in str(told.todo)


def test_a_lost_quorum_is_told_also_when_nothing_is_known_of_the_members() -> None:
    alone = [failed("database", "this head", "the database has no quorum", "bring them back")]
    assert of_one_cause(alone) == alone
    late = warning("database members", "this head", "not found out within 2 s", "see the journal")
    assert of_one_cause([*alone, late]) == [*alone, late]


def test_what_has_another_cause_is_told_as_well() -> None:
    found = [*members([member("a"), member("b", well=False)], ("a", "b"), "a")]
    assert of_one_cause(found) == found


def test_the_member_of_a_removed_head_goes_by_itself() -> None:
    found = [member("a"), member("b", well=False), member("c")]
    (finding,) = members(found, ("a", "c"), "a")
    assert (finding.level, finding.subject) == (Level.WARNING, "b")
    assert "dismiss the member of a removed head" in str(finding.todo)
    assert "evict" not in str(finding.todo)

    (finding,) = members([*found, member("d", well=False), member("e")], ("a", "c", "d", "e"), "a")
    assert "evict" in str(finding.todo)


@pytest.mark.parametrize(
    ("newcomer", "words"),
    [(member("d", voter=False), "catching up"), (member("d", voter=False, well=False), "does not answer")],
)
def test_a_learner_is_told_of(newcomer: EngineMember, words: str) -> None:
    fine, learner = members([member("a"), member("b"), member("c"), newcomer], ("a", "b", "c", "d"), "a")
    assert fine.level is Level.OK
    assert (learner.subject, learner.level) == ("d", Level.WARNING)
    assert words in learner.detail


def test_a_head_without_a_member_is_told_of_while_there_is_room() -> None:
    _, lacking = members([member("a"), member("b"), member("c")], ("a", "b", "c", "d"), "a")
    assert (lacking.subject, lacking.level) == ("d", Level.WARNING)

    (full,) = members([member(head) for head in HEADS], (*HEADS, "f"), "a")
    assert full.level is Level.OK


def test_the_sites_own_etcd_is_the_sites_business() -> None:
    (finding,) = members([], ("a", "b"), "a", adopted=True)
    assert finding.level is Level.OK

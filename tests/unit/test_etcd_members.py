"""Whom the database can do without: every small cluster, every state of health."""

from __future__ import annotations

from itertools import product

import pytest

from agent.adapters.etcd.members import has_quorum, objection, quorum
from agent.ports import EngineMember

A, B, C, D = ("a", "b", "c", "d")


def _member(head: str, *, healthy: bool | None = True, voter: bool = True) -> EngineMember:
    return EngineMember(head, f"https://{head}:1", voter=voter, healthy=healthy)


def _members(health: tuple[bool | None, ...]) -> list[EngineMember]:
    return [_member(head, healthy=alive) for head, alive in zip("abcdefg", health, strict=False)]


@pytest.mark.parametrize(("voters", "needed"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)])
def test_a_quorum_is_more_than_half(voters: int, needed: int) -> None:
    assert quorum(voters) == needed


@pytest.mark.parametrize("health", [h for n in range(1, 6) for h in product((True, False, None), repeat=n)])
def test_a_member_can_go_only_when_all_now_and_the_rest_afterwards_have_a_majority(
    health: tuple[bool | None, ...],
) -> None:
    members = _members(health)
    rest = [bool(alive) for alive in health[1:]]
    alive_now = sum(map(bool, health))

    can_go = bool(rest) and sum(rest) * 2 > len(rest) and alive_now * 2 > len(health)

    assert (objection(members, A) is None) == can_go


@pytest.mark.parametrize("health", [h for n in range(1, 6) for h in product((True, False), repeat=n)])
def test_what_may_go_leaves_a_cluster_that_has_its_quorum(health: tuple[bool, ...]) -> None:
    members = _members(health)
    for member in members:
        if objection(members, member.head) is None:
            assert has_quorum([other for other in members if other is not member])


def test_the_last_member_never_goes() -> None:
    assert "last member" in str(objection(_members((True,)), A))
    assert "last member" in str(objection([*_members((True,)), _member(B, voter=False)], A))


def test_two_become_one_while_both_live() -> None:
    assert objection(_members((True, True)), A) is None


def test_a_dead_one_of_two_cannot_go_and_the_way_out_is_told() -> None:
    reason = str(objection(_members((False, True)), A))

    assert "cw-headctl database recover" in reason


def test_of_three_with_one_dead_only_the_dead_one_may_go() -> None:
    members = _members((True, True, False))

    assert objection(members, C) is None
    assert "lose its quorum" in str(objection(members, A))


def test_a_member_whose_health_is_not_known_does_not_count_as_alive() -> None:
    assert objection(_members((True, True, None)), A) is not None


def test_a_learner_may_always_go_and_never_counts() -> None:
    members = [*_members((True, True, False)), _member(D, voter=False)]

    assert objection(members, D) is None
    assert objection(members, A) is not None


def test_a_head_without_a_member_is_not_missed() -> None:
    assert objection(_members((True, False)), "z" * 32) is None


@pytest.mark.parametrize(
    ("healthy", "words"),
    [
        ((True, False), "the one member that would remain does not answer"),
        ((True, False, False), "of the 2 members that would remain none answers, and 2 must"),
        ((True, True, False), "of the 2 members that would remain one answers, and 2 must"),
        ((True, True, True, False, False), "of the 4 members that would remain 2 answer, and 3 must"),
    ],
)
def test_how_many_answer_is_told_in_a_sentence(healthy: tuple[bool, ...], words: str) -> None:
    assert words in str(objection(_members(healthy), A))

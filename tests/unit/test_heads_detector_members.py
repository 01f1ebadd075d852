"""The detector while members come and go: who counts, from when on, and what is known of them from before."""

from __future__ import annotations

import msgspec
import pytest

from agent.errors import Unavailable
from agent.heads.beat import Beat
from agent.heads.detector import ARRIVAL, Turn
from agent.heads.liveness import Standing, State
from tests.support.people import ME, OTHER, PEER, STRANGER, head, members
from tests.support.watcher import Watcher, people, three

__all__ = ["three"]

UP, SUSPECT, DOWN, UNKNOWN = State.UP, State.SUSPECT, State.DOWN, State.UNKNOWN


def test_strangers_and_itself_are_not_listened_to(three: Watcher) -> None:
    for uid in (STRANGER, ME):
        three.detector.heard(Beat(uid, "b", 1, {OTHER: 0.0}), three.clock.monotonic())
    assert set(three.look().conditions) == {ME, PEER, OTHER}
    assert three.detector.judgement(STRANGER) is None
    assert three.detector.judgement(ME) is None


@pytest.mark.parametrize("peer_url", [None, "https://10.0.0.9:52392"])
def test_a_head_that_was_just_let_in_may_be_silent_while_its_engine_is_taken_in(
    three: Watcher, peer_url: str | None
) -> None:
    new = msgspec.structs.replace(head(), peer_url=peer_url)
    three.roster.now = members({PEER: head(), OTHER: head(), STRANGER: new})
    three.wait(6, PEER, OTHER)
    assert three[STRANGER] is (DOWN if peer_url is None else UNKNOWN)
    three.wait(ARRIVAL, PEER, OTHER)
    assert three[STRANGER] is DOWN


def test_a_head_that_was_just_let_in_is_judged_like_any_other_once_it_was_heard(three: Watcher) -> None:
    new = msgspec.structs.replace(head(), peer_url="https://10.0.0.9:52392")
    three.roster.now = members({PEER: head(), OTHER: head(), STRANGER: new})
    three.seq[STRANGER], three.boots[STRANGER] = 0, "s"
    three.wait(2, PEER, OTHER, STRANGER)
    assert three[STRANGER] is UP
    three.wait(6, PEER, OTHER)
    assert three[STRANGER] is DOWN


@pytest.mark.parametrize(("heard", "stopped"), [({OTHER: 20.0}, {}), ({}, {OTHER: ("first", 20.0)})])
def test_what_others_know_of_a_head_from_before_it_was_let_in_again_does_not_count(
    three: Watcher, heard: dict[str, float], stopped: dict[str, tuple[str, float]]
) -> None:
    three.wait(8, PEER)
    assert three[OTHER] is DOWN
    three.roster.now = people(PEER)
    three.wait(1, PEER)
    again = msgspec.structs.replace(head(), peer_url="https://10.0.0.9:52392", generation=2)
    three.roster.now = members({PEER: head(), OTHER: again})
    three.wait(1, PEER)
    three.beat(PEER, heard, stopped=stopped)  # it has not read yet that it had gone
    assert three[OTHER] is UNKNOWN
    three.boots[OTHER] = "second"
    three.wait(2, PEER, OTHER)
    assert three[OTHER] is UP


def test_a_head_that_was_just_let_in_is_found_dead_in_time_also_where_nobody_asks() -> None:
    watcher = Watcher()
    watcher.wait(3)
    watcher.roster.now = members({PEER: msgspec.structs.replace(head(), peer_url="https://10.0.0.9:52392")})
    watcher.seq[PEER], watcher.boots[PEER] = 0, "p"
    watcher.wait(4, PEER)
    watcher.wait(5)
    assert [turn.after for turn in watcher.turns] == [UP, SUSPECT, DOWN]


def test_members_come_and_go(three: Watcher) -> None:
    three.roster.now = people(PEER, STRANGER)
    three.wait(1, PEER)
    three.beat(OTHER)
    assert set(three.look().conditions) == {ME, PEER, STRANGER}
    assert three[STRANGER] is UNKNOWN
    three.seq[STRANGER], three.boots[STRANGER] = 0, "s"
    three.roster.now = Unavailable("the database is away")
    three.wait(1, PEER, STRANGER)
    three.roster.now = people(PEER, STRANGER)
    assert three[STRANGER] is UP, "while the list cannot be read, it is the one that was"


def test_once_those_that_were_not_heard_are_removed_the_rest_is_the_majority_and_finds_its_dead_in_time() -> None:
    lost = ["3" * 32, "4" * 32, "5" * 32]
    watcher = Watcher(PEER, *lost)
    watcher.wait(3, PEER, *lost)
    watcher.wait(10, PEER)
    before = watcher.detector.standing
    watcher.roster.now = people(PEER)
    watcher.wait(1, PEER)
    assert (before, watcher.detector.standing) == (Standing.MINORITY, Standing.MAJORITY)
    watcher.wait(5)
    assert watcher.turns[-1] == Turn(PEER, SUSPECT, DOWN)

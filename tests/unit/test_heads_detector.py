"""The detector: what it makes of the beats that come, and of those that do not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.heads.beat import Beat, decode, encode
from agent.heads.journal import Journal
from agent.heads.liveness import Condition, Standing, State
from tests.support.logs import log_lines
from tests.support.people import ME, OTHER, PEER, STRANGER
from tests.support.watcher import Watcher, three

__all__ = ["three"]

UP, SUSPECT, DOWN, UNKNOWN = State.UP, State.SUSPECT, State.DOWN, State.UNKNOWN


def test_the_last_head_alone_is_up_and_alone() -> None:
    watcher = Watcher()
    watcher.wait(20)
    assert watcher.look().conditions == {ME: Condition(UP, "2030-05-01T12:00:20.000Z", "2030-05-01T12:00:00.000Z")}
    assert watcher.standing is Standing.ALONE


def test_one_of_three_dies(three: Watcher) -> None:
    three.wait(3, PEER)
    assert three[OTHER] is SUSPECT
    three.wait(2, PEER)
    assert (three[PEER], three[OTHER], three.standing) == (UP, DOWN, Standing.MAJORITY)
    condition = three.look().conditions[OTHER]
    assert condition.last_seen == "2030-05-01T12:00:03.000Z"
    assert condition.since == "2030-05-01T12:00:08.000Z"
    assert [turn[1:] for turn in three.turns if turn.uid == OTHER] == [(UNKNOWN, UP), (UP, SUSPECT), (SUSPECT, DOWN)]


def test_one_of_two_dies() -> None:
    watcher = Watcher(PEER)
    watcher.wait(3, PEER)
    watcher.wait(5)
    assert (watcher[PEER], watcher.standing) == (DOWN, Standing.MAJORITY)


@pytest.mark.parametrize("beating", [(), (PEER,)])
def test_one_that_never_beats_is_down_after_a_timeout_and_unknown_till_then(beating: tuple[str, ...]) -> None:
    watcher = Watcher(*beating, OTHER)
    watcher.wait(4.75, *beating)
    assert watcher[OTHER] is UNKNOWN
    watcher.wait(1.5, *beating)
    assert watcher[OTHER] is DOWN


def test_in_the_minority_the_silent_are_unknown_and_it_says_so_within_a_timeout(three: Watcher) -> None:
    three.wait(60)
    assert (three[PEER], three[OTHER], three.standing) == (UNKNOWN, UNKNOWN, Standing.MINORITY)
    assert DOWN not in {turn.after for turn in three.turns}
    three.wait(1, PEER)
    assert (three[PEER], three[OTHER], three.standing) == (UP, UNKNOWN, Standing.MAJORITY)
    three.wait(4, PEER)
    assert three[OTHER] is UNKNOWN, "it has a timeout to be heard from the moment that this head may judge"
    three.wait(1.25, PEER)
    assert three[OTHER] is DOWN


def test_a_head_that_somebody_hears_is_not_silent(three: Watcher) -> None:
    three.wait(20, PEER, heard={OTHER: 0.4})
    assert three[OTHER] is UP
    heard_by = three.look().conditions[OTHER].heard_by
    assert heard_by == {PEER: 0.4, ME: 20.0}
    three.wait(5, PEER, heard={OTHER: 3.4})
    assert three[OTHER] is SUSPECT


def test_it_tells_when_it_heard_the_others_itself_and_no_hearsay(three: Watcher) -> None:
    three.wait(2, PEER, heard={OTHER: 0.1})
    beat = three.detector.next_beat("digest")
    assert (beat.head, beat.boot, beat.roster, beat.stopping) == (ME, "boot", "digest", False)
    assert beat.heard == {PEER: 0.0, OTHER: 2.0}
    assert three.detector.next_beat().seq > beat.seq
    assert decode(encode(beat)) == beat


def test_who_hears_this_head_is_shown_as_well(three: Watcher) -> None:
    three.beat(PEER, {ME: 0.3})
    assert three.look().conditions[ME].heard_by == {PEER: 0.3}


def test_a_head_comes_back_with_three_beats_and_a_burst_counts_as_one(three: Watcher) -> None:
    three.wait(6, PEER)
    for _ in range(10):
        three.beat(OTHER)
    assert three[OTHER] is SUSPECT
    three.wait(1, PEER, OTHER)
    assert three[OTHER] is SUSPECT
    three.wait(1, PEER, OTHER)
    assert three[OTHER] is UP


def test_beats_that_are_not_in_a_row_do_not_bring_it_back(three: Watcher) -> None:
    three.wait(6, PEER)
    for _ in range(4):
        three.beat(OTHER)
        three.wait(4, PEER)
    assert three[OTHER] is SUSPECT


def test_a_clean_stop_is_down_at_once_and_remembered(three: Watcher) -> None:
    three.beat(OTHER, stopping=True)
    assert three[OTHER] is DOWN
    three.wait(30, PEER)
    assert three.look().stopped == {OTHER: 30.0}
    judged = three.detector.judgement(OTHER)
    assert judged is not None
    assert judged.clean
    three.beat(OTHER)
    assert three[OTHER] is DOWN, "nothing comes after the last beat of a run"
    three.boots[OTHER] = "second"
    three.wait(3, PEER, OTHER)
    assert (three[OTHER], three.look().stopped) == (UP, {})


def test_a_clean_stop_is_passed_on(three: Watcher) -> None:
    three.beat(PEER, {OTHER: 0.5}, stopped={OTHER: ("first", 0.5)})
    assert three[OTHER] is DOWN
    three.wait(10, PEER)
    assert three.detector.next_beat().stopped == {OTHER: ("first", 10.5)}


def test_a_head_that_started_again_where_only_others_hear_it_is_up(three: Watcher) -> None:
    three.beat(OTHER, stopping=True)
    three.beat(PEER, {OTHER: 0.0}, stopped={OTHER: ("first", 0.0)})
    three.wait(10, PEER)
    assert three[OTHER] is DOWN
    three.wait(2, PEER, heard={OTHER: 0.5})
    assert three[OTHER] is SUSPECT
    three.wait(2, PEER, heard={OTHER: 0.5})
    assert three[OTHER] is UP
    three.boots[OTHER] = "second"
    three.wait(1, PEER, OTHER)
    assert three[OTHER] is UP


def test_a_head_that_is_heard_is_not_talked_dead_by_another(three: Watcher) -> None:
    three.beat(PEER, stopped={OTHER: ("first", 0.0)})
    assert three[OTHER] is DOWN
    for _ in range(20):
        three.wait(1, PEER, OTHER)
        three.beat(PEER, stopped={OTHER: ("first", 0.0)})
    assert three[OTHER] is UP
    three.wait(3, PEER)
    three.beat(PEER, stopped={OTHER: ("first", 0.0)})
    assert three[OTHER] is DOWN


def test_late_word_of_a_clean_stop_does_not_harm_the_next_run(three: Watcher) -> None:
    three.boots[OTHER] = "second"
    three.wait(1, PEER, OTHER)
    three.beat(PEER, stopped={OTHER: ("first", 30.0)})
    assert three[OTHER] is UP
    three.beat(PEER, stopped={OTHER: ("zeroth", 30.0)})
    assert three[OTHER] is UP


def test_the_farewell_is_its_last_beat(three: Watcher) -> None:
    last = three.detector.next_beat()
    farewell = three.detector.farewell()
    assert farewell.stopping
    assert farewell.seq > last.seq


def test_old_beats_and_those_of_former_runs_tell_nothing(three: Watcher) -> None:
    old = Beat(OTHER, "first", three.seq[OTHER])
    three.boots[OTHER] = "second"
    three.beat(OTHER)
    former = Beat(OTHER, "first", three.seq[OTHER] + 50)
    repeated = Beat(OTHER, "second", three.seq[OTHER])
    for _ in range(6):
        three.wait(1, PEER)
        for beat in (old, former, repeated):
            three.detector.heard(beat, three.clock.monotonic())
    assert three[OTHER] is DOWN


def test_what_was_heard_as_long_ago_as_can_be_said_is_down_and_nothing_breaks() -> None:
    watcher = Watcher(PEER, OTHER)
    told = Beat(PEER, "first", 1, {OTHER: 1e9})
    watcher.beat(PEER, dict(decode(encode(told)).heard))
    watcher.wait(8, PEER, heard={OTHER: 1e9})
    assert watcher[OTHER] is DOWN


def test_a_short_gap_of_its_own_convicts_nobody_and_shows_nothing(three: Watcher) -> None:
    three.sleep(4.5)
    three.detector.tick()
    assert (three[PEER], three[OTHER]) == (UP, UP)
    three.wait(4.75, PEER)
    assert three[OTHER] is SUSPECT
    three.wait(0.5, PEER)
    assert three[OTHER] is DOWN


@pytest.mark.parametrize("ticked_first", [True, False])
def test_after_a_long_gap_it_begins_anew_and_believes_nothing_that_has_piled_up(
    three: Watcher, *, ticked_first: bool
) -> None:
    three.wait(6, PEER)
    assert three[OTHER] is DOWN
    three.sleep(60)
    if ticked_first:
        three.detector.tick()
    for _ in range(60):
        three.beat(PEER)
    assert (three[PEER], three[OTHER]) == (UNKNOWN, UNKNOWN)
    assert three.detector.next_beat().heard[PEER] >= 60.0, "what was queued may be as old as the gap"
    three.wait(2, PEER, OTHER)
    assert (three[PEER], three[OTHER]) == (UP, UP)
    assert [turn.uid for turn in three.turns if turn.after is DOWN] == [OTHER]


def test_a_question_right_after_a_gap_does_not_convict_either() -> None:
    watcher = Watcher(PEER)
    watcher.wait(3, PEER)
    watcher.sleep(60)
    assert watcher[PEER] is UNKNOWN
    assert DOWN not in {turn.after for turn in watcher.turns}


def test_a_clock_that_is_set_changes_nothing(three: Watcher) -> None:
    before = len(three.turns)
    three.clock.set_back(86400)
    three.wait(10, PEER, OTHER)
    three.clock.set_back(-2 * 86400)
    three.wait(10, PEER, OTHER)
    assert len(three.turns) == before


def test_many_losses_at_once_cost_one_more_timeout_and_no_veto() -> None:
    peers = [PEER, OTHER, STRANGER, "4" * 32]
    watcher = Watcher(*peers)
    watcher.wait(3, *peers)
    watcher.wait(9.75, *peers[:2])
    assert {watcher[uid] for uid in peers[2:]} == {SUSPECT}
    watcher.wait(0.5, *peers[:2])
    assert {watcher[uid] for uid in peers[2:]} == {DOWN}


def test_those_that_come_back_first_speak_for_those_that_fell_with_them(three: Watcher) -> None:
    three.wait(2.25, PEER)
    three.wait(1)
    assert (three[PEER], three[OTHER]) == (UP, SUSPECT)
    three.beat(OTHER)
    three.wait(2)
    assert (three[PEER], three[OTHER]) == (SUSPECT, SUSPECT)
    three.beat(OTHER)
    three.wait(2)
    assert three[PEER] is SUSPECT, "after 5.25 seconds"
    three.beat(PEER)
    assert DOWN not in {turn.after for turn in three.turns}


def test_a_head_that_flaps_is_suspect_while_it_beats_but_dies_all_the_same(three: Watcher) -> None:
    for _ in range(5):
        three.wait(6, PEER)
        assert three[OTHER] is DOWN
        three.wait(5, PEER, OTHER)
    assert three[OTHER] is SUSPECT
    for _ in range(4):
        three.wait(7, PEER)
        assert three[OTHER] is SUSPECT
        three.beat(OTHER)
    three.wait(32, PEER, OTHER)
    assert three[OTHER] is UP
    three.wait(12, PEER)
    assert three[OTHER] is DOWN


def test_a_head_that_is_killed_and_started_again_and_again_does_not_flap(three: Watcher) -> None:
    for run in range(8):
        three.wait(5.25, PEER)
        assert three[OTHER] is DOWN
        three.boots[OTHER] = f"run {run}"
        three.wait(4, PEER, OTHER)
        assert three[OTHER] is UP


def test_the_configuration_in_force_counts(three: Watcher) -> None:
    heartbeat = replace(three.live.config.heartbeat, suspect=8.0, timeout=12.0)
    three.live.config = replace(three.live.config, heartbeat=heartbeat)
    three.wait(7, PEER)
    assert three[OTHER] is UP
    three.wait(6, PEER)
    assert three[OTHER] is DOWN


def test_what_an_operator_must_know_is_in_the_journal(three: Watcher) -> None:
    Journal(three.detector)
    with log_lines() as lines:
        three.wait(6, PEER)
        three.wait(5)
        three.wait(10, PEER, OTHER)
        three.beat(PEER, stopping=True)
    told = [(line["log_level"], line["event"], line.get("head_uid")) for line in lines]
    assert ("warning", "Head is down", OTHER) in told
    assert ("warning", "Most heads are not heard", None) in told
    assert ("info", "Most heads are heard", None) in told
    assert told[-1][1:] == ("Head has stopped", PEER)

"""Units, judged: status, rows, healing decisions."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import Services
from agent.ports import Unit
from agent.services.units import HOUR, OWN_UNIT, Decision, Heal, decide_heal, full_name, row, rows, short_name, status

FAILED = Unit("clusterware-x.service", active_state="failed", sub_state="failed", file_state="enabled", result="signal")
SETTINGS = Services(heal_backoff=10.0, heal_per_hour=3)


@pytest.mark.parametrize(
    ("active_state", "main_pid", "expected"),
    [
        ("active", 0, "up"),
        ("active", 7, "up"),
        ("reloading", 7, "up"),
        ("activating", 7, "up"),
        ("activating", 0, "down"),
        ("deactivating", 7, "down"),
        ("inactive", 0, "down"),
        ("failed", 0, "down"),
        ("maintenance", 7, "down"),
        ("a-state-to-come", 7, "down"),
    ],
)
def test_up_is_active_reloading_or_activating_with_a_process(active_state: str, main_pid: int, expected: str) -> None:
    assert status(Unit("x.service", active_state=active_state, main_pid=main_pid)) == expected


def test_a_row_has_the_time_in_milliseconds_and_no_pid_when_nothing_runs() -> None:
    made = row(replace(FAILED, since=1_795_459_113_933_700, restarts=3))
    assert (made.name, made.unit, made.status) == ("clusterware-x", "clusterware-x.service", "down")
    assert made.since == "2026-11-23T18:38:33.933Z"
    assert made.pid is None
    assert (made.enabled, made.restarts, made.result) == ("enabled", 3, "signal")


def test_a_whole_second_has_milliseconds_too() -> None:
    assert row(replace(FAILED, since=1_795_459_113_000_000)).since == "2026-11-23T18:38:33.000Z"


def test_systemd_not_knowing_since_when_is_null() -> None:
    assert row(FAILED).since is None


def test_rows_are_sorted_by_name() -> None:
    names = ["b.service", "a@2.service", "a.service", "a-b.service"]
    assert [r.name for r in rows(map(Unit, names))] == sorted(["b", "a@2", "a", "a-b"])


@pytest.mark.parametrize("name", ["httpd", "clusterware-*", "x@1", "a.b"])
def test_names_and_patterns_get_their_suffix_once(name: str) -> None:
    assert full_name(name) == full_name(full_name(name)) == f"{name}.service"
    assert short_name(full_name(name)) == name


@pytest.mark.parametrize("active_state", ["active", "inactive", "activating", "deactivating", "reloading"])
def test_what_has_not_failed_is_nothing_to_heal(active_state: str) -> None:
    unit = replace(FAILED, active_state=active_state)
    assert decide_heal(unit, 0, [], 1e6, SETTINGS) == Decision(Heal.NOTHING)


@pytest.mark.parametrize(
    ("unit", "settings", "reason"),
    [
        (replace(FAILED, file_state="disabled"), SETTINGS, "not enabled (disabled)"),
        (replace(FAILED, file_state="static"), SETTINGS, "not enabled (static)"),
        (replace(FAILED, file_state=""), SETTINGS, "no unit file"),
        (replace(FAILED, load_state="masked", file_state="masked"), SETTINGS, "masked"),
        (replace(FAILED, load_state="not-found"), SETTINGS, "not-found"),
        (replace(FAILED, load_state="bad-setting"), SETTINGS, "bad-setting"),
        (replace(FAILED, stopped=True), SETTINGS, "asked to stop"),
        (replace(FAILED, job=7), SETTINGS, "a job"),
        (replace(FAILED, name=OWN_UNIT), SETTINGS, "this agent"),
        (FAILED, Services(heal=False), "services.heal"),
    ],
)
def test_what_is_left_alone_and_why(unit: Unit, settings: Services, reason: str) -> None:
    decision = decide_heal(unit, 0, [], 1e6, settings)
    assert decision.heal is Heal.LEAVE
    assert reason in decision.reason


@pytest.mark.parametrize("file_state", ["enabled", "enabled-runtime"])
def test_an_enabled_unit_is_started_after_the_first_pause(file_state: str) -> None:
    unit = replace(FAILED, file_state=file_state)
    assert decide_heal(unit, 100.0, [], 109.9, SETTINGS).heal is Heal.WAIT
    assert decide_heal(unit, 100.0, [], 109.9, SETTINGS).at == 110.0
    assert decide_heal(unit, 100.0, [], 110.0, SETTINGS).heal is Heal.START


def test_the_pause_doubles_with_each_start() -> None:
    assert [decide_heal(FAILED, 100.0, [90.0] * n, 100.0, SETTINGS).at for n in range(3)] == [110.0, 120.0, 140.0]


def test_the_cap_holds_until_the_hour_is_over() -> None:
    starts = [100.0, 200.0, 300.0]
    paused = decide_heal(FAILED, 400.0, starts, 3699.0, SETTINGS)
    assert (paused.heal, paused.at) == (Heal.PAUSE, 100.0 + HOUR)
    assert decide_heal(FAILED, 400.0, starts, 3700.0, SETTINGS).heal is Heal.START


@given(
    gaps=st.lists(st.floats(0, 3 * HOUR), min_size=1, max_size=60),
    backoff=st.floats(1, HOUR),
    cap=st.integers(1, 100),
)
def test_a_unit_that_always_fails_is_never_started_more_often_than_allowed(
    gaps: list[float], backoff: float, cap: int
) -> None:
    settings = Services(heal_backoff=backoff, heal_per_hour=cap)
    now, failed_at = 0.0, 0.0
    starts: list[float] = []
    for gap in gaps:
        now += gap
        decision = decide_heal(FAILED, failed_at, starts, now, settings)
        if decision.heal is Heal.START:
            assert now >= failed_at + backoff
            starts.append(now)
            failed_at = now
        else:
            assert decision.heal in (Heal.WAIT, Heal.PAUSE)
            assert now < decision.at <= now + HOUR + backoff
            again = decide_heal(FAILED, failed_at, starts, decision.at, settings).heal
            assert again in (Heal.START, Heal.WAIT, Heal.PAUSE)
    for at in starts:
        assert len([other for other in starts if other <= at < other + HOUR]) <= cap


@given(
    st.builds(
        Unit,
        st.just("x.service"),
        load_state=st.sampled_from(["loaded", "masked", "not-found", "error"]),
        active_state=st.sampled_from(["active", "inactive", "failed", "activating"]),
        file_state=st.sampled_from(["enabled", "disabled", "static", "masked", ""]),
        job=st.integers(0, 1),
        stopped=st.booleans(),
    ),
    st.floats(0, 1e6),
)
def test_only_an_enabled_unit_that_failed_by_itself_is_ever_started(unit: Unit, now: float) -> None:
    if decide_heal(unit, 0.0, [], now, SETTINGS).heal in (Heal.START, Heal.WAIT):
        expected = ("loaded", "failed", "enabled", 0, False)
        assert (unit.load_state, unit.active_state, unit.file_state, unit.job, unit.stopped) == expected

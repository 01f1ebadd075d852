"""Services, loops, dependencies, lost lines and root's files: what is not as it should be, and what to do."""

from __future__ import annotations

from typing import Any

import pytest

from agent.diagnosis.finding import Level
from agent.diagnosis.work import dependencies, lines, loops, services, static_files
from agent.loops import Loop
from agent.model import Service


def service(name: str = "x", **more: Any) -> Service:
    row = {
        "name": name,
        "status": "up",
        "unit": f"{name}.service",
        "description": "",
        "load_state": "loaded",
        "active_state": "active",
        "sub_state": "running",
        "enabled": "enabled",
        "since": None,
        "pid": None,
        "restarts": 0,
        "result": "success",
    }
    return Service(**{**row, **more})


@pytest.mark.parametrize(
    ("row", "paused", "level", "words"),
    [
        ({}, set(), Level.OK, "1 of 1 up"),
        ({"status": "down", "active_state": "inactive", "enabled": "disabled"}, set(), Level.OK, "0 of 1 up"),
        ({"status": "down", "active_state": "inactive"}, set(), Level.FAILED, "enabled and down (inactive)"),
        (
            {"status": "down", "active_state": "failed", "result": "exit-code"},
            set(),
            Level.FAILED,
            "enabled and down (failed, exit-code)",
        ),
        (
            {"status": "down", "active_state": "failed", "result": "signal"},
            {"x.service"},
            Level.FAILED,
            "healing is paused",
        ),
        (
            {"status": "down", "active_state": "failed", "enabled": "static", "result": "timeout"},
            set(),
            Level.WARNING,
            "it failed (timeout), and is not enabled",
        ),
        ({"status": "down", "active_state": "inactive", "enabled": "enabled-runtime"}, set(), Level.FAILED, "enabled"),
    ],
)
def test_a_service_is_judged_by_whether_it_should_run(
    row: dict[str, str],
    paused: set[str],
    level: Level,
    words: str,
) -> None:
    (finding,) = services([service(**row)], paused)
    assert finding.level is level
    assert words in finding.detail
    assert level is Level.OK or "journalctl -u x.service" in str(finding.todo)


def test_services_that_are_well_are_not_listed_beside_one_that_is_not() -> None:
    found = services([service("a"), service("b", status="down", active_state="inactive")], set())
    assert [finding.subject for finding in found] == ["b"]


def test_a_loop_that_no_longer_turns_is_a_failure_and_one_that_fails_a_warning() -> None:
    stuck, failing = Loop("files", 5.0, 30.0, turned=0.0), Loop("members", 5.0, 30.0, turned=90.0, failure="no quorum")
    found = loops([stuck, failing, Loop("fine", 5.0, 30.0, turned=99.0)], now=100.0)
    assert [(finding.level, finding.detail) for finding in found] == [
        (Level.FAILED, "the loop `files` has not turned for 100 s"),
        (Level.WARNING, "no quorum"),
    ]


def test_loops_that_turn_are_well() -> None:
    (finding,) = loops([Loop("fine", 5.0, 30.0, turned=99.0)], now=100.0)
    assert finding.level is Level.OK


@pytest.mark.parametrize("name", ["systemd", "database", "database member", "files", "certificate", "cluster", "new"])
def test_each_dependency_that_is_away_has_a_next_step(name: str) -> None:
    (bad,) = dependencies({name: "it is away"})
    (fine,) = dependencies({name: None})
    assert (bad.check, bad.level, bad.detail) == (name, Level.FAILED, "it is away")
    assert bad.todo
    assert fine.level is Level.OK


def test_nobody_is_sent_to_restore_a_database_that_only_lacks_its_quorum() -> None:
    (damaged,) = dependencies({"database": "it is malformed"})
    (alone,) = dependencies({"database": "cannot reach a quorum of the database's members"})
    assert "restore a backup" in str(damaged.todo)
    assert "restore" not in str(alone.todo)
    assert "`cw-headctl heads`" in str(alone.todo)


@pytest.mark.parametrize(("lost", "level"), [(0, Level.OK), (1, Level.WARNING)])
def test_lost_lines_are_told(lost: int, level: Level) -> None:
    assert lines(lost)[0].level is level


def test_files_that_differ_are_named() -> None:
    assert static_files([])[0].level is Level.OK
    (finding,) = static_files(["rules.d/60-x.rules"])
    assert finding.level is Level.WARNING
    assert "rules.d/60-x.rules" in finding.detail
    assert "cw-headctl config apply" in str(finding.todo)

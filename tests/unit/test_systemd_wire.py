"""systemd's interface as data: names, which units count, what errors mean, who waits for which job."""

from __future__ import annotations

import asyncio

import pytest

from agent.adapters.systemd import wire
from agent.adapters.systemd.bus import CLOSED, NO_REPLY, BusError
from agent.adapters.systemd.jobs import GONE, Jobs
from agent.errors import AgentError, Conflict, Denied, Failed, NotFound, TimedOut, Unavailable
from agent.ports import Unit


def test_an_object_path_is_a_unit() -> None:
    path = "/org/freedesktop/systemd1/unit/clusterware_2dx_5cx2dy_40_31_2eservice"
    assert wire.unit_name(path) == r"clusterware-x\x2dy@1.service"


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("clusterware-a.service", True),
        ("clusterware-a@1.service", True),
        ("httpd.service", True),
        ("httpd2.service", False),
        ("clusterware.socket", False),
        ("my-clusterware-a.service", False),
        ("clusterware-head-agent.service", True),
        ("clusterware-head-agent-enable@httpd.service", False),
        ("clusterware-head-agent-disable@httpd.service", False),
    ],
)
def test_which_units_count(name: str, *, counts: bool) -> None:
    assert (name in wire.Selection(["clusterware*.service", "httpd.service"])) is counts


def test_no_pattern_selects_nothing() -> None:
    assert "" not in wire.Selection([])
    assert "x.service" not in wire.Selection([])


def test_a_backslash_in_a_pattern_is_a_backslash() -> None:
    selection = wire.Selection([r"a\x2db.service"])
    assert r"a\x2db.service" in selection
    assert "ax2db.service" not in selection
    assert selection.loose == ["a?x2db.service"]


def test_only_a_template_is_one() -> None:
    assert wire.is_template("x@.service")
    assert not wire.is_template("x@1.service")
    assert not wire.is_template("x@.y.service")


def test_a_switch_names_the_unit_without_its_suffix() -> None:
    assert wire.switch("enable", "x@1.service") == "clusterware-head-agent-enable@x@1.service"


@pytest.mark.parametrize(
    ("result", "active_exit", "main_start", "main_exit", "stopped"),
    [
        ("exit-code", 50, 10, 60, True),  # told to stop, then died
        ("timeout", 50, 10, 60, True),
        ("exit-code", 60, 10, 50, False),  # died, then left its active state
        ("signal", 60, 10, 60, False),
        ("watchdog", 50, 10, 60, False),
        ("exit-code", 5, 10, 60, False),  # never got active this time
        ("exit-code", 0, 0, 0, False),  # never ran
    ],
)
def test_whether_a_failed_unit_had_been_stopped(
    result: str, active_exit: int, main_start: int, main_exit: int, *, stopped: bool
) -> None:
    assert wire.was_stopped(result, active_exit, main_start, main_exit) is stopped


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("org.freedesktop.DBus.Error.AccessDenied", Denied),
        ("org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", Denied),
        ("org.freedesktop.systemd1.NoSuchUnit", NotFound),
        ("org.freedesktop.systemd1.JobTypeNotApplicable", Conflict),
        ("org.freedesktop.systemd1.UnitMasked", Failed),
        ("org.freedesktop.systemd1.TransactionIsDestructive", Failed),
        (NO_REPLY, TimedOut),
        ("org.freedesktop.DBus.Error.NameHasNoOwner", Unavailable),
        (CLOSED, Unavailable),
    ],
)
def test_what_an_error_means(name: str, kind: type[AgentError]) -> None:
    err = wire.failure(BusError(name, "Because."), "start x.service")
    assert type(err) is kind
    assert "start x.service" in err.reason


def test_a_polkit_that_cannot_be_asked_is_not_taken_for_the_unit() -> None:
    err = BusError("org.freedesktop.systemd1.UnitMasked", "Unit polkit.service is masked.")
    told = wire.failure(err, "restart x.service").reason
    assert (
        "cannot restart x.service: polkit does not tell whether this agent may (Unit polkit.service is masked)" in told
    )


def test_a_unit_that_is_nowhere_is_none_once_it_rests() -> None:
    unit = Unit("x.service", load_state="not-found", active_state="active")
    assert wire.changed(unit, {"main_pid": 7}) is not None
    assert wire.changed(unit, {"active_state": "inactive"}) is None


def test_what_systemd_forgets_of_a_resting_unit_is_remembered() -> None:
    old = Unit("x.service", active_state="inactive", since=7, stopped=True)
    assert wire.remember(old, Unit("x.service")) == old
    assert wire.remember(old, Unit("x.service", active_state="failed", since=9)) != old


async def test_one_who_gives_up_waiting_for_a_job_leaves_the_others_waiting() -> None:
    jobs = Jobs()
    patient, hasty = asyncio.create_task(jobs.result("/job/1")), asyncio.create_task(jobs.result("/job/1"))
    await asyncio.sleep(0)
    hasty.cancel()
    await asyncio.wait([hasty])
    jobs.end("/job/1", "done")
    assert await patient == "done"


async def test_a_job_may_end_before_anybody_waits_for_it() -> None:
    jobs = Jobs()
    jobs.end("/job/1", "failed")
    assert await jobs.result("/job/1") == "failed"


async def test_jobs_that_do_not_exist_any_more_are_over() -> None:
    jobs = Jobs()
    over, pending = asyncio.create_task(jobs.result("/job/1")), asyncio.create_task(jobs.result("/job/2"))
    await asyncio.sleep(0)

    async def exists(path: str) -> bool:
        return path == "/job/2"

    await jobs.settle(exists)
    assert await over == GONE
    assert not pending.done()
    jobs.end("/job/2", "done")
    assert await pending == "done"

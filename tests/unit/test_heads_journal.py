"""Lines about heads are about heads, whatever brought the news."""

from __future__ import annotations

import asyncio
from contextvars import copy_context

import pytest
import structlog

from agent.config import Config, Live
from agent.heads.beat import Beat
from agent.heads.detector import Detector
from agent.heads.journal import Journal
from agent.log import CALLER, REQUEST_ID, unasked
from tests.support.clock import StillClock
from tests.support.logs import log_lines
from tests.support.people import ME, OTHER, PEER, Roster, head, members

ASKED = ("request_id", "peer", "actor")


def ask() -> None:
    """From here on a request is being answered."""
    REQUEST_ID.set("r-1")
    CALLER.set({"peer": "192.0.2.1", "actor": "alice"})


def test_news_of_a_head_is_not_about_the_request_that_it_came_with() -> None:
    clock, roster = StillClock(), Roster(members({PEER: head()}))
    detector = Detector(roster, ME, Live(Config()), clock)
    Journal(detector)

    def answer() -> None:
        ask()
        for _ in range(80):
            clock.move(0.25)
            detector.tick()
        detector.look(roster(), clock.now())

    with log_lines() as lines:
        copy_context().run(answer)
    assert "Head is down" in {line["event"] for line in lines}
    assert all(line.keys().isdisjoint(ASKED) for line in lines)


@pytest.mark.parametrize("gap", [0.0, 60.0])
def test_at_a_start_or_after_a_gap_heads_are_heard_one_after_the_other_and_that_is_no_minority(gap: float) -> None:
    uids = [f"{number:032d}" for number in range(14)]
    clock, roster = StillClock(), Roster(members(dict.fromkeys(uids, head())))
    detector = Detector(roster, ME, Live(Config()), clock)
    Journal(detector)
    clock.move(gap)
    with log_lines() as lines:
        for _ in range(4):
            detector.tick()
            clock.move(0.25)
        for uid in uids:
            clock.move(0.05)
            detector.heard(Beat(uid, "first", 1), clock.monotonic())
    assert [line["event"] for line in lines] == ["Head is up"] * len(uids)


def test_a_head_that_hears_nobody_from_its_start_says_so_after_a_timeout() -> None:
    clock, roster = StillClock(), Roster(members({PEER: head(), OTHER: head()}))
    detector = Detector(roster, ME, Live(Config()), clock)
    Journal(detector)
    with log_lines() as lines:
        for quarter in range(40):
            assert bool(lines) is (quarter > 20)
            clock.move(0.25)
            detector.tick()
    assert [line["event"] for line in lines] == ["Most heads are not heard"]


async def test_tasks_that_a_request_starts_for_the_agent_are_not_the_requests() -> None:
    async def work() -> None:
        structlog.get_logger().info("Worked")

    with log_lines() as lines:
        async with asyncio.TaskGroup() as group:

            def answer() -> list[asyncio.Task[None]]:
                ask()
                return [group.create_task(work()), unasked(group.create_task, work())]

            copy_context().run(answer)
    asked, unasked_ = lines
    assert asked["request_id"] == "r-1"
    assert unasked_.keys().isdisjoint(ASKED)

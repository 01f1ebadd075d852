"""Lines about heads are about heads, whatever brought the news."""

from __future__ import annotations

import asyncio
from contextvars import copy_context

import structlog

from agent.config import Config, Live
from agent.heads.detector import Detector
from agent.heads.journal import Journal
from agent.log import CALLER, REQUEST_ID, unasked
from tests.support.clock import StillClock
from tests.support.logs import log_lines
from tests.support.people import ME, PEER, Roster, head, members

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

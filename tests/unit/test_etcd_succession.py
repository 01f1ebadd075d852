"""When a write that is not answered is taken to be lost with its leader, and when it is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from agent.adapters.etcd import succession
from agent.adapters.etcd.succession import next_leader
from agent.adapters.etcd.wire import Header, Status

TERM = 7
OLD, NEW = Status(header=Header(raft_term=TERM), leader=1), Status(header=Header(raft_term=TERM + 1), leader=2)
ELECTING = Status(header=Header(raft_term=TERM + 1), leader=0)


class Members:
    """What each member says of itself, question by question; the last is said from then on."""

    def __init__(self, **says: Sequence[Status | None]) -> None:
        self.says = says
        self.asked: list[str] = []
        self.went_on = asyncio.Event()

    async def ask(self, url: str) -> Status | None:
        self.asked.append(url)
        turn = self.asked.count(url)
        if turn > 3:
            self.went_on.set()
        return self.says[url][min(turn, len(self.says[url])) - 1]

    def next_leader(self, term: int = TERM) -> asyncio.Task[bool]:
        """For a write that `own` was sent."""
        return asyncio.ensure_future(next_leader("own", tuple(self.says), term, self.ask))


async def test_a_member_that_knows_a_newer_leader_is_tried_again() -> None:
    members = Members(own=[OLD, NEW], other=[OLD])
    assert await members.next_leader() is True


async def test_one_that_does_not_answer_is_left_once_another_knows_a_newer_leader() -> None:
    members = Members(own=[None], other=[OLD, OLD, NEW])
    assert await members.next_leader() is False
    assert members.asked.count("own") == 1  # each question to it takes its time


async def test_one_that_answers_is_given_the_time_to_hear_of_the_new_leader() -> None:
    members = Members(own=[OLD, ELECTING, NEW], other=[NEW])
    assert await members.next_leader() is True
    assert members.asked.count("own") == 3


@pytest.mark.parametrize(
    ("own", "term"), [([OLD], TERM), ([ELECTING], TERM), ([NEW], 0)], ids=["slow", "no-leader", "first-use"]
)
async def test_nothing_is_given_up_for_anything_else(own: Sequence[Status], term: int) -> None:
    members = Members(own=own, other=[None])
    waiting = members.next_leader(term)
    await members.went_on.wait()
    assert not waiting.done()
    waiting.cancel()
    await asyncio.wait([waiting])


async def test_nobody_is_asked_while_an_answer_is_not_late() -> None:
    members = Members(own=[NEW])
    began = asyncio.get_running_loop().time()
    await members.next_leader()
    assert asyncio.get_running_loop().time() - began >= succession.LATE

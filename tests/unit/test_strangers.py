"""Connections on which nothing was let in yet."""

from __future__ import annotations

from agent.api.strangers import CROWD, Strangers
from tests.support.waiting import wait_for


class Connection:
    """One, idle unless told otherwise."""

    def __init__(self) -> None:
        self.idle = True
        self.closed = False

    def force_close(self) -> None:
        """Note it."""
        self.closed = True


async def test_the_one_that_has_waited_longest_makes_room_for_the_next() -> None:
    strangers, crowd = Strangers(), [Connection() for _ in range(CROWD + 3)]
    for connection in crowd:
        strangers.met(connection)
    assert [connection.closed for connection in crowd] == [True] * 3 + [False] * CROWD
    for connection in crowd:
        strangers.forget(connection)
    assert len(strangers) == 0


async def test_one_that_was_let_in_is_left_alone() -> None:
    strangers, known = Strangers(), Connection()
    strangers.met(known)
    strangers.forget(known)
    for connection in (others := [Connection() for _ in range(CROWD)]):
        strangers.met(connection)
    assert not known.closed
    assert not any(connection.closed for connection in others)
    for connection in others:
        strangers.forget(connection)


async def test_one_that_stays_idle_is_closed_and_one_that_is_busy_is_not() -> None:
    strangers, idle, busy = Strangers(patience=0.01), Connection(), Connection()
    busy.idle = False
    strangers.met(idle)
    strangers.met(busy)
    await wait_for(lambda: idle.closed)
    assert not busy.closed
    busy.idle = True
    await wait_for(lambda: busy.closed)
    assert len(strangers) == 0

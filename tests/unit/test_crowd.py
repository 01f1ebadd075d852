"""How many connections may be open, and which one makes room for the next."""

from __future__ import annotations

from agent.api.crowd import Crowd
from tests.support.waiting import wait_for


class Connection:
    """One whose client's turn it is, unless told otherwise."""

    def __init__(self) -> None:
        self.waits = True
        self.closed = False

    def dismiss(self) -> None:
        """Note it."""
        self.closed = True


def entered(crowd: Crowd, number: int, origin: str) -> list[Connection]:
    """So many, all of which found room."""
    connections = [Connection() for _ in range(number)]
    assert [crowd.enter(connection, origin) for connection in connections] == [True] * number
    return connections


def test_the_first_of_an_address_makes_room_for_one_too_many_of_it() -> None:
    crowd = Crowd(most=100, each=5)
    other = entered(crowd, 1, "192.0.2.2")
    many = entered(crowd, 8, "192.0.2.1")
    assert [connection.closed for connection in many] == [True] * 3 + [False] * 5
    assert not other[0].closed
    assert len(crowd) == 6


def test_whoever_has_most_makes_room_when_all_of_it_is_taken() -> None:
    crowd = Crowd(most=10, each=8)
    one, many = entered(crowd, 2, "192.0.2.1"), entered(crowd, 8, "192.0.2.2")
    others = [entered(crowd, 1, f"192.0.2.{number}")[0] for number in range(3, 8)]
    assert [connection.closed for connection in many] == [True] * 5 + [False] * 3
    assert not any(connection.closed for connection in one + others)


def test_what_is_being_answered_makes_no_room() -> None:
    crowd = Crowd(most=100, each=3)
    busy = entered(crowd, 3, "192.0.2.1")
    for connection in busy:
        connection.waits = False
    assert not crowd.enter(Connection(), "192.0.2.1")
    assert crowd.enter(Connection(), "192.0.2.2")
    busy[1].waits = True
    assert crowd.enter(Connection(), "192.0.2.1")
    assert [connection.closed for connection in busy] == [False, True, False]


def test_no_more_are_let_open_than_the_process_has_descriptors_for() -> None:
    crowd = Crowd(most=10**9, each=10**9)
    assert 0 < crowd.limit < 10**9


async def test_one_that_stays_idle_is_closed_and_one_that_is_busy_is_not() -> None:
    crowd = Crowd(patience=0.01)
    idle, busy = entered(crowd, 2, "192.0.2.1")
    busy.waits = False
    await wait_for(lambda: idle.closed)
    assert not busy.closed
    busy.waits = True
    await wait_for(lambda: busy.closed)
    assert len(crowd) == 0


def test_one_that_has_left_is_left_alone() -> None:
    crowd = Crowd(most=2, each=2)
    (gone,) = entered(crowd, 1, "192.0.2.1")
    crowd.leave(gone)
    crowd.leave(gone)
    entered(crowd, 3, "192.0.2.1")
    assert not gone.closed

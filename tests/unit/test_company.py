"""What is known of the other heads where files and locks depend on it."""

from __future__ import annotations

import pytest

from agent.app.company import company, gone, minority
from agent.heads.liveness import Condition, Standing, State
from tests.support.head_records import HeadRoom, body
from tests.support.people import ME, OTHER, PEER

URL = "https://10.0.0.2:52390"


@pytest.fixture
async def room() -> HeadRoom:
    """This head, one with an agent, and one that was registered by hand."""
    room = await HeadRoom().start()
    await room.directory.register(body(PEER, url=URL))
    await room.directory.register(body(OTHER))
    return room


def see(room: HeadRoom, state: State, standing: Standing = Standing.MAJORITY) -> None:
    """Have the detector say that of the head with an agent."""
    room.see(standing, {ME: Condition(State.UP), PEER: Condition(state), OTHER: Condition(State.DOWN)})


@pytest.mark.parametrize("state", [State.SUSPECT, State.DOWN, State.UNKNOWN])
async def test_heads_with_an_agent_can_be_asked_while_they_are_up(room: HeadRoom, state: State) -> None:
    look = company(room.registry, room.directory, room.store)
    see(room, State.UP)
    assert dict(look().others) == {PEER: None}
    see(room, state)
    assert dict(look().others) == {PEER: f"is {state}"}
    assert not look().shared
    room.store.kind = "etcd"
    assert look().shared


async def test_a_head_that_the_detector_does_not_know_yet_is_unknown(room: HeadRoom) -> None:
    room.see(Standing.MAJORITY, {})
    assert dict(company(room.registry, room.directory, room.store)().others) == {PEER: "is unknown"}


async def test_a_head_among_others_that_have_no_agent_is_in_no_minority(room: HeadRoom) -> None:
    look = minority(room.registry, room.directory)
    see(room, State.UNKNOWN, Standing.MINORITY)
    assert look()
    see(room, State.UP, Standing.MAJORITY)
    assert not look()
    await room.directory.patch(PEER, {"url": None})
    see(room, State.UNKNOWN, Standing.MINORITY)
    assert not look()


async def test_a_head_is_gone_when_it_is_down_or_no_member(room: HeadRoom) -> None:
    look = gone(room.registry, room.directory)
    for state in State:
        see(room, state)
        assert look(PEER) is (state is State.DOWN)
    assert look("z" * 32)

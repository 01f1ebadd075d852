"""Heads that join at the same time: the shared engine takes in one after the other, so the others wait their turn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.errors import Conflict
from agent.heads.joining import QUEUE
from tests.support.clock import StillClock
from tests.support.moving import MovingHead

THIRD = f"{3:032d}"
TURN = "wait for its turn, as another head is joining"


async def two(directory: Path) -> tuple[MovingHead, MovingHead]:
    """A head of a cluster with one etcd, and one that stands before its door."""
    first, second = MovingHead(1, directory / "1"), MovingHead(2, directory / "2")
    for one in (first, second):
        await one.start()
    first.engine.name = first.store.kind = "etcd"
    second.engine.shared = first.store
    second.meets(first)
    first.meets(second)
    return first, second


async def test_a_head_waits_while_another_is_coming_and_nothing_is_written_of_it_meanwhile(tmp_path: Path) -> None:
    first, second = await two(tmp_path)
    first.engine.coming = [THIRD]
    before, told = first.store.revision, []

    async def knocked(asked: Any) -> Any:
        steps = second.joining.steps
        assert steps is not None
        told.append({step.step: step.result for step in steps})
        if len(told) == 3:
            first.engine.coming.clear()
        elif len(told) > 1:
            assert first.store.revision == before
        return await first.admission.admit(asked)

    second.door.knocked = knocked
    joined = await second.join()

    assert told[0].get("ask to be let in") == "running"
    assert [(one["ask to be let in"], one[TURN]) for one in told[1:]] == [("others are joining", "running")] * 2
    assert {step.step: step.result for step in joined.steps}[TURN] == "done"
    assert first.registry.members.heads[second.uid].generation == 1


async def test_one_that_came_in_between_is_waited_for_too(tmp_path: Path) -> None:
    first, second = await two(tmp_path)
    first.failing["invite 1"] = Conflict("another head is coming into the database just now", code="busy")

    joined = await second.join()

    assert not joined.already
    assert second.uid in first.registry.members.heads
    assert await second.shape() == await first.shape()


async def test_what_is_left_of_its_own_attempt_is_not_waited_for(tmp_path: Path) -> None:
    first, second = await two(tmp_path)
    first.engine.coming = [second.uid]

    joined = await second.join()

    assert TURN not in [step.step for step in joined.steps]


async def test_a_head_that_never_comes_in_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    first, second = await two(tmp_path)
    first.engine.coming = [THIRD]
    before = await second.shape()

    async def knocked(asked: Any) -> Any:
        try:
            return await first.admission.admit(asked)
        finally:
            for clock in (first.clock, second.clock):
                assert isinstance(clock, StillClock)
                clock.move(QUEUE * 0.6)

    second.door.knocked = knocked
    with pytest.raises(Conflict) as refused:
        await second.join()

    assert refused.value.code == "busy"
    assert THIRD in refused.value.reason
    assert "remove that one if it is down" in refused.value.reason
    assert {step.step: step.result for step in refused.value.data["steps"]}[TURN] == "failed"
    assert await second.shape() == before
    assert second.uid not in first.registry.members.heads


async def test_any_other_refusal_ends_the_wait(tmp_path: Path) -> None:
    first, second = await two(tmp_path)
    asked_before: list[Any] = []

    async def knocked(asked: Any) -> Any:
        asked_before.append(asked)
        if len(asked_before) == 1:
            raise Conflict("another head is just coming", code="busy")
        raise Conflict("the cluster has 15 heads, and more are not supported", code="full")

    second.door.knocked = knocked
    with pytest.raises(Conflict) as refused:
        await second.join()

    assert (refused.value.code, len(asked_before)) == ("full", 2)
    assert second.uid not in first.registry.members.heads

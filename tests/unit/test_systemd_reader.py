"""What the answers to questions about systemd mean, those that do not come among them."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from agent.adapters.systemd import wire
from agent.adapters.systemd.bus import CLOSED, NO_REPLY, BusError, Connection
from agent.adapters.systemd.reader import Reader


class RefusingBus:
    """A connection that is open, and on which every call fails alike."""

    closed = False

    def __init__(self, name: str) -> None:
        self._name = name

    def call(self, *_: Any, timeout: float) -> asyncio.Future[Any]:
        """Fails."""
        answered = asyncio.get_running_loop().create_future()
        answered.set_exception(BusError(self._name, f"not within {timeout:g} s"))
        return answered


def reader(name: str) -> Reader:
    return Reader(cast("Connection", RefusingBus(name)))


async def test_a_name_without_an_owner_is_a_systemd_that_is_not_there_yet() -> None:
    assert not await reader(wire.NO_OWNER).present()


@pytest.mark.parametrize("name", [NO_REPLY, CLOSED])
async def test_of_a_bus_that_does_not_answer_it_is_not_known_whether_systemd_is_there(name: str) -> None:
    """Taken for absent it would be waited for, for ever: it is there, and so nothing tells that it has come."""
    with pytest.raises(BusError):
        await reader(name).present()


@pytest.mark.parametrize("name", [NO_REPLY, CLOSED])
async def test_of_a_systemd_that_does_not_answer_it_is_not_known_whether_a_unit_has_a_file(name: str) -> None:
    with pytest.raises(BusError):
        await reader(name).file_state("a.service")


async def test_a_unit_file_of_which_systemd_knows_nothing_has_no_state() -> None:
    assert await reader("org.freedesktop.systemd1.NoSuchUnit").file_state("a.service") == ""

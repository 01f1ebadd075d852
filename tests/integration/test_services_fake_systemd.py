"""The UnitManager over a fake systemd on a real bus."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.adapters.systemd.units import SystemdUnits
from agent.errors import Denied, Unavailable
from agent.ports import Lost, Snapshot, Verb
from tests.contracts.unit_manager import (
    ONE,
    PATIENCE,
    Followed,
    UnitActionsContract,
    UnitTableContract,
    wait_snapshot,
)
from tests.support.fake_systemd import FakeSystemd
from tests.support.private_bus import PrivateBus
from tests.support.unit_specs import Spec


class FakeWorld:
    """World over the fake."""

    def __init__(self, directory: Path) -> None:
        self.bus = PrivateBus(directory)
        self.systemd = FakeSystemd(self.bus)

    def manager(self) -> SystemdUnits:
        return SystemdUnits(self.bus.address)

    async def install(self, unit: str, spec: Spec) -> None:
        self.systemd.install(unit, spec)

    async def uninstall(self, unit: str) -> None:
        self.systemd.uninstall(unit)

    async def mask(self, unit: str) -> None:
        self.systemd.mask(unit)

    async def kill(self, unit: str) -> None:
        self.systemd.kill(unit)

    async def systemctl(self, word: str, unit: str) -> None:
        match word:
            case "start":
                await self.systemd.ended(self.systemd.start(unit))
            case "stop":
                await self.systemd.ended(self.systemd.stop(unit))
            case _:
                self.systemd.switch(unit, f"{word}d")

    async def reload(self) -> None:
        self.systemd.reload()

    async def reexec(self) -> None:
        await self.systemd.reexec()

    async def restart_bus(self) -> None:
        await self.systemd.disconnect()
        self.bus.stop()
        self.bus.start()
        await self.systemd.connect()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[FakeWorld]:
    """A fake systemd that is up."""
    world = FakeWorld(tmp_path)
    world.bus.start()
    await world.systemd.connect()
    yield world
    await world.systemd.close()
    world.bus.stop()


class TestUnitTable(UnitTableContract):
    pass


class TestUnitActions(UnitActionsContract):
    pass


class TestOnlyHere:
    @pytest.fixture
    async def one(self, world: FakeWorld) -> AsyncIterator[Followed]:
        world.systemd.install(ONE, Spec())
        async with Followed(world.manager()) as followed:
            yield followed

    async def test_nothing_can_be_asked_before_the_first_snapshot(self, world: FakeWorld) -> None:
        with pytest.raises(Unavailable):
            await world.manager().job(Verb.START, ONE, PATIENCE)

    async def test_a_refusal_of_polkit_names_the_way_out(self, one: Followed, world: FakeWorld) -> None:
        world.systemd.denied = {
            ("StartUnit", ONE),
            ("StartUnit", "clusterware-head-agent-enable@clusterware-t-one.service"),
        }
        with pytest.raises(Denied, match=f"this agent may not start {ONE}: run `cw-headctl config apply`"):
            await one.manager.job(Verb.START, ONE, PATIENCE)
        with pytest.raises(Denied, match=f"this agent may not enable {ONE}: run `cw-headctl config apply`"):
            await one.manager.enable(ONE, PATIENCE)

    async def test_units_that_are_loaded_only_to_be_looked_at_are_not_looked_at_for_ever(
        self, one: Followed, world: FakeWorld
    ) -> None:
        mark = one.ears.mark()
        world.systemd.reload()
        await wait_snapshot(one.ears, mark)
        await one.manager.job(Verb.START, ONE, PATIENCE)
        await one.manager.job(Verb.STOP, ONE, PATIENCE)
        asked = len(world.systemd.calls)
        await one.manager.reset_failed(ONE, PATIENCE)
        assert len(world.systemd.calls) - asked < 5

    async def test_a_job_whose_end_nobody_heard_is_judged_by_its_unit(self, one: Followed, world: FakeWorld) -> None:
        world.systemd.deaf = True
        starting = asyncio.create_task(one.manager.job(Verb.START, ONE, PATIENCE))
        await one.ears.state(ONE, "active")
        assert not starting.done()
        await world.restart_bus()
        assert await starting == "done"

    async def test_an_action_waits_for_a_systemd_that_is_away_for_a_moment(
        self, one: Followed, world: FakeWorld
    ) -> None:
        await world.systemd.disconnect()
        await one.ears.until(lambda: isinstance(one.ears.events[-1], Lost))
        starting = asyncio.create_task(one.manager.job(Verb.START, ONE, PATIENCE))
        await asyncio.sleep(0)
        assert not starting.done()
        await world.systemd.connect()
        assert await starting == "done"

    async def test_a_death_while_all_is_read_again_after_a_reexec_is_told(
        self, one: Followed, world: FakeWorld
    ) -> None:
        """systemd said that it reloads, and the end of that was for a connection that is no more."""
        await one.manager.job(Verb.START, ONE, PATIENCE)
        await world.systemd.begin_reexec()
        await one.ears.until(lambda: isinstance(one.ears.events[-1], Lost))
        world.systemd.next["ListUnitsByPatterns"] = lambda: world.systemd.kill(ONE)
        await world.systemd.connect()
        await one.ears.state(ONE, "failed")

    async def test_more_calls_than_the_bus_bears_wait_for_each_other(self, one: Followed) -> None:
        calls = [one.manager.reset_failed(ONE, PATIENCE) for _ in range(400)]
        assert await asyncio.gather(*calls) == [None] * 400

    async def test_the_process_outlives_any_number_of_buses(self, one: Followed, world: FakeWorld) -> None:
        for _ in range(15):
            mark = one.ears.mark()
            await world.restart_bus()
            await wait_snapshot(one.ears, mark)
            await one.manager.job(Verb.RESTART, ONE, PATIENCE)
            gc.collect()  # disposing of a connection from here is what once stood still for good

    async def test_no_bus_is_a_loss_and_a_bus_that_comes_is_found(self, tmp_path: Path) -> None:
        world = FakeWorld(tmp_path / "late")
        (tmp_path / "late").mkdir()
        followed = Followed(world.manager())
        running = asyncio.create_task(followed.manager.run(followed.ears.hear))
        followed.manager.select([ONE])
        await followed.ears.until(lambda: any(isinstance(event, Lost) for event in followed.ears.events))
        world.bus.start()
        await world.systemd.connect()
        await followed.ears.until(lambda: any(isinstance(event, Snapshot) for event in followed.ears.events))
        running.cancel()
        await asyncio.wait([running])
        await world.systemd.close()
        world.bus.stop()

"""What every `UnitManager` does, over whichever systemd: subclass it with a `world` fixture."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Protocol

import pytest

from agent.errors import Conflict, Failed, NotFound, TimedOut
from agent.ports import Changed, Gone, Lost, Snapshot, Unit, UnitEvent, UnitManager, Verb
from tests.support.unit_specs import Behaviour, Spec

ONE = "clusterware-t-one.service"
TEMPLATE, INSTANCE = "clusterware-t-many@.service", "clusterware-t-many@7.service"
PATIENCE = 30.0
PATTERNS = ("clusterware-t-*.service", "elsewhere-t.service")


class World(Protocol):
    """A systemd and its operator, who has no need of a UnitManager."""

    def manager(self) -> UnitManager:
        """A UnitManager for this systemd, not running yet."""
        ...

    async def install(self, unit: str, spec: Spec) -> None:
        """Write a unit file, without a reload."""
        ...

    async def uninstall(self, unit: str) -> None:
        """Remove a unit file, without a reload."""
        ...

    async def mask(self, unit: str) -> None:
        """Mask a unit."""
        ...

    async def kill(self, unit: str) -> None:
        """SIGKILL a unit's main process."""
        ...

    async def systemctl(self, word: str, unit: str) -> None:
        """Start, stop, enable or disable a unit by hand."""
        ...

    async def reload(self) -> None:
        """daemon-reload."""
        ...

    async def reexec(self) -> None:
        """daemon-reexec."""
        ...

    async def restart_bus(self) -> None:
        """Restart the message bus."""
        ...


class Ears:
    """What a UnitManager told: all of it in order, and the units as they follow from that."""

    def __init__(self) -> None:
        self.events: list[UnitEvent] = []
        self.units: dict[str, Unit] = {}
        self._news = asyncio.Event()

    def hear(self, event: UnitEvent) -> None:
        """For `UnitManager.run`."""
        self.events.append(event)
        match event:
            case Snapshot(units):
                self.units = {unit.name: unit for unit in units}
            case Changed(unit):
                self.units[unit.name] = unit
            case Gone(name):
                del self.units[name]
            case Lost():
                pass
        self._news.set()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something told makes the condition true."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def state(self, name: str, active_state: str) -> Unit:
        """Wait until a unit is in a state."""
        await self.until(lambda: name in self.units and self.units[name].active_state == active_state)
        return self.units[name]

    def mark(self) -> int:
        """How much was told so far."""
        return len(self.events)

    def heard(self, since: int, name: str) -> list[Unit]:
        """What was told of a unit since then."""
        told: list[Unit] = []
        for event in self.events[since:]:
            match event:
                case Snapshot(units):
                    told += [unit for unit in units if unit.name == name]
                case Changed(unit) if unit.name == name:
                    told.append(unit)
                case _:
                    pass
        return told


class Followed:
    """A running UnitManager and what it tells."""

    def __init__(self, manager: UnitManager) -> None:
        self.manager = manager
        self.ears = Ears()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Followed:
        self.manager.select(PATTERNS)
        self._task = asyncio.create_task(self.manager.run(self.ears.hear))
        await self.ears.until(lambda: any(isinstance(event, Snapshot) for event in self.ears.events))
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])
        assert self._task.cancelled()


async def wait_snapshot(ears: Ears, since: int) -> None:
    """Wait for a Snapshot after that mark."""
    await ears.until(lambda: any(isinstance(event, Snapshot) for event in ears.events[since:]))


class _Setting:
    @pytest.fixture
    async def one(self, world: World) -> AsyncIterator[Followed]:
        """A UnitManager that runs, and ONE, steady and not running."""
        await world.install(ONE, Spec())
        await world.reload()
        async with Followed(world.manager()) as followed:
            yield followed


class UnitTableContract(_Setting):
    """What is told of units."""

    async def test_a_snapshot_has_what_is_installed_and_what_is_loaded(self, world: World) -> None:
        await world.install(ONE, Spec(description="Number one"))
        await world.install(TEMPLATE, Spec())
        await world.install("foreign-t.service", Spec())
        await world.install("clusterware-t-static.service", Spec(install=False))
        await world.mask("clusterware-t-masked.service")
        await world.reload()
        await world.systemctl("start", INSTANCE)
        async with Followed(world.manager()) as followed:
            units = followed.ears.units
        assert set(units) == {ONE, INSTANCE, "clusterware-t-static.service", "clusterware-t-masked.service"}
        assert (units[ONE].description, units[ONE].file_state) == ("Number one", "disabled")
        assert (units[ONE].active_state, units[ONE].main_pid, units[ONE].since) == ("inactive", 0, 0)
        assert (units[INSTANCE].active_state, units[INSTANCE].sub_state) == ("active", "running")
        assert units[INSTANCE].main_pid > 0
        assert units[INSTANCE].since > 0
        assert units["clusterware-t-static.service"].file_state == "static"
        masked = units["clusterware-t-masked.service"]
        assert (masked.load_state, masked.file_state) == ("masked", "masked")

    async def test_a_death_is_told(self, one: Followed, world: World) -> None:
        assert await one.manager.job(Verb.START, ONE, PATIENCE) == "done"
        await world.kill(ONE)
        dead = await one.ears.state(ONE, "failed")
        assert (dead.result, dead.main_pid, dead.stopped) == ("signal", 0, False)

    async def test_what_others_start_and_stop_is_told(self, one: Followed, world: World) -> None:
        await world.systemctl("start", ONE)
        assert (await one.ears.state(ONE, "active")).main_pid > 0
        await world.systemctl("stop", ONE)
        assert (await one.ears.state(ONE, "inactive")).main_pid == 0

    async def test_aliases_are_one_unit(self, world: World) -> None:
        await world.install(ONE, Spec(alias="elsewhere-t.service"))
        await world.systemctl("enable", ONE)
        async with Followed(world.manager()) as followed:
            assert set(followed.ears.units) == {ONE}
            assert followed.ears.units[ONE].aliases == {"elsewhere-t.service"}

    async def test_a_unit_that_only_an_alias_selects_is_followed_by_its_own_name(self, world: World) -> None:
        await world.install("primary-t.service", Spec(alias="elsewhere-t.service"))
        await world.systemctl("enable", "primary-t.service")
        async with Followed(world.manager()) as followed:
            assert set(followed.ears.units) == {"primary-t.service"}
            await world.systemctl("start", "primary-t.service")
            assert (await followed.ears.state("primary-t.service", "active")).main_pid > 0

    async def test_an_instance_comes_and_goes(self, one: Followed, world: World) -> None:
        await world.install(TEMPLATE, Spec())
        await world.reload()
        assert await one.manager.job(Verb.START, INSTANCE, PATIENCE) == "done"
        assert (await one.ears.state(INSTANCE, "active")).file_state == "disabled"
        assert await one.manager.job(Verb.STOP, INSTANCE, PATIENCE) == "done"
        await one.ears.until(lambda: INSTANCE not in one.ears.units)

    async def test_a_new_unit_is_told_with_its_first_start(self, one: Followed, world: World) -> None:
        await world.install("clusterware-t-new.service", Spec(description="Brand new"))
        await world.systemctl("start", "clusterware-t-new.service")
        assert (await one.ears.state("clusterware-t-new.service", "active")).description == "Brand new"

    async def test_a_reload_shows_what_was_edited_and_removed_and_no_false_death(
        self, one: Followed, world: World
    ) -> None:
        await world.install("clusterware-t-two.service", Spec())
        await world.reload()
        await one.manager.job(Verb.START, ONE, PATIENCE)
        await world.install(ONE, Spec(description="Edited"))
        await world.uninstall("clusterware-t-two.service")
        mark = one.ears.mark()
        await world.reload()
        await one.ears.until(lambda: one.ears.units[ONE].description == "Edited")
        await one.ears.until(lambda: "clusterware-t-two.service" not in one.ears.units)
        assert {unit.active_state for unit in one.ears.heard(mark, ONE)} == {"active"}

    async def test_deaths_around_a_reload_are_told(self, one: Followed, world: World) -> None:
        for _ in range(5):
            assert await one.manager.job(Verb.START, ONE, PATIENCE) == "done"
            await asyncio.gather(world.reload(), world.kill(ONE))
            await one.ears.state(ONE, "failed")
            await one.manager.reset_failed(ONE, PATIENCE)

    async def test_a_unit_whose_file_is_gone_stays_until_it_ends(self, one: Followed, world: World) -> None:
        await one.manager.job(Verb.START, ONE, PATIENCE)
        await world.uninstall(ONE)
        await world.reload()
        await one.ears.until(lambda: one.ears.units[ONE].load_state == "not-found")
        assert one.ears.units[ONE].active_state == "active"
        await one.manager.job(Verb.STOP, ONE, PATIENCE)
        await one.ears.until(lambda: ONE not in one.ears.units)

    async def test_a_reexec_tells_no_false_death(self, one: Followed, world: World) -> None:
        await one.manager.job(Verb.START, ONE, PATIENCE)
        mark = one.ears.mark()
        await world.reexec()
        await wait_snapshot(one.ears, mark)
        assert {unit.active_state for unit in one.ears.heard(mark, ONE)} == {"active"}
        await world.kill(ONE)
        await one.ears.state(ONE, "failed")

    async def test_a_restart_of_the_bus_is_a_loss_and_a_snapshot(self, one: Followed, world: World) -> None:
        await one.manager.job(Verb.START, ONE, PATIENCE)
        mark = one.ears.mark()
        await world.restart_bus()
        await wait_snapshot(one.ears, mark)
        assert [event for event in one.ears.events[mark:] if isinstance(event, Lost)]
        await world.kill(ONE)
        await one.ears.state(ONE, "failed")
        assert await one.manager.job(Verb.START, ONE, PATIENCE) == "done"

    async def test_other_patterns_are_followed_from_then_on(self, one: Followed, world: World) -> None:
        await world.install("foreign-t.service", Spec())
        await world.reload()
        one.manager.select(["foreign-t.service"])
        await one.ears.until(lambda: set(one.ears.units) == {"foreign-t.service"})
        await world.systemctl("start", "foreign-t.service")
        await one.ears.state("foreign-t.service", "active")


class UnitActionsContract(_Setting):
    """What can be done with units."""

    async def test_a_job_is_over_when_it_is_answered_and_told_of_before(self, one: Followed) -> None:
        assert await one.manager.job(Verb.START, ONE, PATIENCE) == "done"
        first = one.ears.units[ONE]
        assert (first.active_state, first.main_pid > 0, first.since > 0) == ("active", True, True)
        assert await one.manager.job(Verb.RESTART, ONE, PATIENCE) == "done"
        second = one.ears.units[ONE]
        assert (second.active_state, second.main_pid != first.main_pid) == ("active", True)
        assert await one.manager.job(Verb.STOP, ONE, PATIENCE) == "done"
        assert one.ears.units[ONE].active_state == "inactive"

    async def test_two_who_ask_for_the_same_both_hear_of_its_end(self, one: Followed) -> None:
        jobs = [one.manager.job(Verb.START, ONE, PATIENCE) for _ in range(5)]
        assert await asyncio.gather(*jobs) == ["done"] * 5

    async def test_a_slow_start_is_activating_with_a_process(self, one: Followed, world: World) -> None:
        await world.install("clusterware-t-slow.service", Spec(Behaviour.SLOW))
        await world.reload()
        starting = asyncio.create_task(one.manager.job(Verb.START, "clusterware-t-slow.service", PATIENCE))
        unit = await one.ears.state("clusterware-t-slow.service", "activating")
        assert unit.main_pid > 0
        assert await starting == "done"

    async def test_a_reload_needs_a_unit_that_can(self, one: Followed, world: World) -> None:
        await world.install("clusterware-t-reloads.service", Spec(reloads=True))
        await world.reload()
        await one.manager.job(Verb.START, ONE, PATIENCE)
        await one.manager.job(Verb.START, "clusterware-t-reloads.service", PATIENCE)
        assert await one.manager.job(Verb.RELOAD, "clusterware-t-reloads.service", PATIENCE) == "done"
        with pytest.raises(Conflict) as refused:
            await one.manager.job(Verb.RELOAD, ONE, PATIENCE)
        assert refused.value.code == "unsupported"

    async def test_what_is_masked_or_nowhere_does_not_start(self, one: Followed, world: World) -> None:
        await world.mask("clusterware-t-masked.service")
        await world.reload()
        with pytest.raises(Failed, match="masked"):
            await one.manager.job(Verb.START, "clusterware-t-masked.service", PATIENCE)
        with pytest.raises(NotFound):
            await one.manager.job(Verb.START, "clusterware-t-nowhere.service", PATIENCE)

    async def test_a_stop_that_ends_badly_was_still_asked_for(self, one: Followed, world: World) -> None:
        await world.install("clusterware-t-sulking.service", Spec(Behaviour.SULKING))
        await world.reload()
        await one.manager.job(Verb.START, "clusterware-t-sulking.service", PATIENCE)
        await one.manager.job(Verb.STOP, "clusterware-t-sulking.service", PATIENCE)
        await one.ears.until(lambda: one.ears.units["clusterware-t-sulking.service"].stopped)
        assert one.ears.units["clusterware-t-sulking.service"].active_state == "failed"
        async with Followed(world.manager()) as later:
            assert later.ears.units["clusterware-t-sulking.service"].stopped
        await one.manager.job(Verb.START, "clusterware-t-sulking.service", PATIENCE)
        assert not one.ears.units["clusterware-t-sulking.service"].stopped

    async def test_a_death_was_not_asked_for_also_to_who_comes_later(self, one: Followed, world: World) -> None:
        await one.manager.job(Verb.START, ONE, PATIENCE)
        await world.kill(ONE)
        await one.ears.state(ONE, "failed")
        async with Followed(world.manager()) as later:
            assert (later.ears.units[ONE].active_state, later.ears.units[ONE].stopped) == ("failed", False)

    async def test_a_unit_that_will_not_stop_times_out_and_is_stopped_later(self, one: Followed, world: World) -> None:
        await world.install("clusterware-t-stubborn.service", Spec(Behaviour.STUBBORN))
        await world.reload()
        await one.manager.job(Verb.START, "clusterware-t-stubborn.service", PATIENCE)
        with pytest.raises(TimedOut):
            await one.manager.job(Verb.STOP, "clusterware-t-stubborn.service", 0.3)
        unit = await one.ears.state("clusterware-t-stubborn.service", "failed")
        assert unit.result == "timeout"
        await one.ears.until(lambda: one.ears.units["clusterware-t-stubborn.service"].stopped)

    async def test_past_its_start_limit_a_unit_starts_only_when_its_failure_is_forgotten(
        self, one: Followed, world: World
    ) -> None:
        name = "clusterware-t-crashing.service"
        await world.install(name, Spec(Behaviour.CRASHING))
        await world.reload()
        await one.manager.job(Verb.START, name, PATIENCE)
        await one.ears.until(lambda: (u := one.ears.units[name]).active_state == "failed" and u.restarts == 3)
        assert (one.ears.units[name].result, one.ears.units[name].stopped) == ("exit-code", False)
        assert await one.manager.job(Verb.START, name, PATIENCE) == "failed"
        await one.manager.reset_failed(name, PATIENCE)
        assert await one.manager.job(Verb.START, name, PATIENCE) == "done"

    async def test_forgetting_the_failure_of_a_unit_that_is_not_loaded_is_nothing(self, one: Followed) -> None:
        await one.manager.reset_failed("clusterware-t-unloaded.service", PATIENCE)

    async def test_enable_and_disable(self, one: Followed) -> None:
        assert await one.manager.enable(ONE, PATIENCE) == "enabled"
        assert one.ears.units[ONE].file_state == "enabled"
        assert await one.manager.disable(ONE, PATIENCE) == "disabled"
        assert one.ears.units[ONE].file_state == "disabled"
        assert not [name for name in one.ears.units if name.startswith("clusterware-head-agent-")]

    async def test_an_instance_can_be_enabled(self, one: Followed, world: World) -> None:
        await world.install(TEMPLATE, Spec())
        await world.reload()
        await one.manager.job(Verb.START, INSTANCE, PATIENCE)
        assert await one.manager.enable(INSTANCE, PATIENCE) == "enabled"
        assert await one.manager.disable(INSTANCE, PATIENCE) == "disabled"

    async def test_what_has_no_install_section_stays_static(self, one: Followed, world: World) -> None:
        await world.install("clusterware-t-static.service", Spec(install=False))
        await world.reload()
        assert await one.manager.enable("clusterware-t-static.service", PATIENCE) == "static"

    async def test_enabling_by_hand_is_told(self, one: Followed, world: World) -> None:
        await world.systemctl("enable", ONE)
        await one.ears.until(lambda: one.ears.units[ONE].file_state == "enabled")
        await world.systemctl("disable", ONE)
        await one.ears.until(lambda: one.ears.units[ONE].file_state == "disabled")

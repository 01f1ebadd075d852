"""Healing, with the real adapter and a fake systemd on a real bus; time stands still until a test moves it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.adapters.systemd.units import SystemdUnits
from agent.config import Config, Live, Services
from agent.loops import Loop, Loops
from agent.services.actions import Result
from agent.services.requests import Action
from agent.services.supervisor import Supervisor
from tests.support.clock import StillClock
from tests.support.fake_systemd import FakeSystemd
from tests.support.logs import log_lines
from tests.support.private_bus import PrivateBus
from tests.support.unit_specs import Behaviour, Spec
from tests.support.waiting import wait_for

ONE = "clusterware-one.service"


@dataclass
class Setting:
    """A supervisor that heals, and its systemd."""

    systemd: FakeSystemd
    supervisor: Supervisor
    clock: StillClock
    loop: Loop

    async def fail(self, name: str = ONE) -> None:
        """Have the unit running, then dead."""
        await self.systemd.ended(self.systemd.start(name))
        self.systemd.kill(name)
        await wait_for(lambda: self.state(name) == "failed")

    def state(self, name: str = ONE) -> str:
        unit = self.supervisor.unit(name)
        return unit.active_state if unit is not None else ""

    async def pass_time(self, seconds: float) -> None:
        """Let time pass and the healer have its turn."""
        self.clock.move(seconds)
        turned = self.loop.turned
        self.supervisor.reselect()
        await wait_for(lambda: self.loop.turned > turned)
        await asyncio.sleep(0.05)  # for what it should not have begun to be seen

    def starts(self) -> int:
        return self.systemd.calls.count("StartUnit")


@pytest.fixture
async def setting(tmp_path: Path) -> AsyncIterator[Setting]:
    bus = PrivateBus(tmp_path)
    bus.start()
    systemd = FakeSystemd(bus)
    await systemd.connect()
    systemd.install(ONE, Spec(), "enabled")
    live = Live(Config(services=Services(patterns=("clusterware*",), heal_backoff=10.0, heal_per_hour=2)))
    clock = StillClock()
    supervisor = Supervisor(SystemdUnits(bus.address), live, loops := Loops(), clock)
    running = asyncio.create_task(supervisor.run())
    await supervisor.ready()
    yield Setting(systemd, supervisor, clock, loops.all[0])
    running.cancel()
    await asyncio.wait([running])
    await systemd.close()
    bus.stop()


async def test_a_unit_that_failed_is_started_after_the_pause_and_not_before(setting: Setting) -> None:
    await setting.fail()
    await setting.pass_time(9)
    assert (setting.starts(), setting.state()) == (0, "failed")
    await setting.pass_time(1)
    await wait_for(lambda: setting.state() == "active")
    assert setting.systemd.calls.index("ResetFailedUnit") < setting.systemd.calls.index("StartUnit")


async def test_the_pause_doubles_and_the_hour_has_its_cap(setting: Setting) -> None:
    for pause in (10, 20):
        await setting.fail()
        await setting.pass_time(pause - 1)
        assert setting.state() == "failed"
        await setting.pass_time(1)
        await wait_for(lambda: setting.state() == "active")
    await setting.fail()
    with log_lines() as logs:
        await setting.pass_time(1000)
    assert [line["event"] for line in logs if line["event"] == "Healing paused"]
    assert (setting.starts(), setting.state()) == (2, "failed")
    await setting.pass_time(3600)
    await wait_for(lambda: setting.state() == "active")


async def test_past_its_start_limit_a_unit_is_started_all_the_same(setting: Setting) -> None:
    name = "clusterware-crash.service"
    setting.systemd.install(name, Spec(Behaviour.CRASHING), "enabled")
    setting.systemd.reload()
    await wait_for(lambda: setting.state(name))
    await setting.systemd.ended(setting.systemd.start(name))
    await wait_for(lambda: (u := setting.supervisor.unit(name)) and u.restarts == 3 and u.active_state == "failed")
    await setting.pass_time(2)
    with log_lines() as logs:
        await setting.pass_time(10)
        await wait_for(lambda: any(line["event"] == "Unit started again" for line in logs))


async def test_what_an_operator_stopped_stays_stopped_however_badly_it_ended(setting: Setting) -> None:
    name = "clusterware-sulk.service"
    setting.systemd.install(name, Spec(Behaviour.SULKING), "enabled")
    setting.systemd.reload()
    await wait_for(lambda: setting.state(name))
    await setting.systemd.ended(setting.systemd.start(name))
    await setting.systemd.ended(setting.systemd.stop(name))
    await wait_for(lambda: setting.state(name) == "failed")
    await setting.pass_time(2)
    await setting.pass_time(7200)
    assert (setting.starts(), setting.state(name)) == (0, "failed")


async def test_a_unit_that_is_masked_meanwhile_is_left_alone(setting: Setting) -> None:
    await setting.fail()
    setting.systemd.mask(ONE)
    setting.systemd.reload()
    await wait_for(lambda: (unit := setting.supervisor.unit(ONE)) and unit.load_state == "masked")
    await setting.pass_time(7200)
    assert setting.starts() == 0


async def test_each_decision_is_in_the_journal_once(setting: Setting) -> None:
    with log_lines() as logs:
        await setting.fail()
        for _ in range(4):
            await setting.pass_time(2)
        await setting.pass_time(10)
        await wait_for(lambda: any(line["event"] == "Unit started again" for line in logs))
    events = [line["event"] for line in logs]
    for event in ("Unit failed", "Starting failed unit again", "Service action", "Unit started again"):
        assert events.count(event) == 1, events


async def test_a_start_that_polkit_refuses_is_told_with_the_way_out(setting: Setting) -> None:
    await setting.fail()
    setting.systemd.denied = {("StartUnit", ONE), ("ResetFailedUnit", ONE)}
    with log_lines() as logs:
        await setting.pass_time(10)
        await wait_for(lambda: any(line["event"] == "Unit could not be started again" for line in logs))
    told = next(line for line in logs if line["event"] == "Unit could not be started again")
    assert "cw-headctl config apply" in told["reason"]
    await setting.pass_time(5)
    assert setting.starts() == 1


async def test_starts_and_pauses_are_counted_until_the_unit_vanishes(setting: Setting) -> None:
    for pause in (10, 20):
        await setting.fail()
        await setting.pass_time(pause)
        await wait_for(lambda: setting.state() == "active")
    await setting.fail()
    await setting.pass_time(60)
    healer = setting.supervisor.healer
    assert (healer.counts[ONE].starts, healer.counts[ONE].pauses, healer.paused(ONE)) == (2, 1, True)
    await wait_for(lambda: setting.supervisor.performer.ended[Action.START, Result.DONE] == 2)
    healer.forget(ONE)
    assert ONE not in healer.counts

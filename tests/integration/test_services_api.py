"""GET and POST /head/services over HTTP, with the real adapter and a fake systemd on a real bus."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from agent.adapters.systemd.units import SystemdUnits
from agent.api import services
from agent.api.call import Access, Route
from agent.config import Config, ConfigError, Live, Services
from agent.loops import Loops
from agent.model import Service
from agent.services.supervisor import GRACE, Supervisor
from tests.support.clock import StillClock
from tests.support.fake_systemd import FakeSystemd
from tests.support.http import client, served
from tests.support.logs import log_lines
from tests.support.private_bus import PrivateBus
from tests.support.unit_specs import Behaviour, Spec
from tests.support.waiting import wait_for

PATH = "/head/services"
ROUTES = (
    Route("GET", PATH, services.list_services, Access.KNOWN_HEAD, "", answers=services.LIST),
    Route("POST", PATH, services.act_on_services, Access.KNOWN_HEAD, "", answers=services.ACTED),
)
AGENT = "clusterware-head-agent"


@dataclass
class Setting:
    """A served table, its systemd, and a client."""

    systemd: FakeSystemd
    bus: PrivateBus
    supervisor: Supervisor
    live: Live
    clock: StillClock
    session: aiohttp.ClientSession
    faults: list[str]
    """What is wrong with the agent's configuration as it is now."""

    async def settled(self) -> int:
        """Wait until systemd is asked nothing more, as units that were just loaded are looked at; how often it was."""
        asked = -1
        while asked != len(self.systemd.calls):
            asked = len(self.systemd.calls)
            await asyncio.sleep(0.3)
        return asked

    async def table(self) -> dict[str, dict[str, Any]]:
        async with self.session.get(PATH) as answer:
            body = await answer.json()
            assert answer.status == 200, body
        return {row["name"]: row for row in body["data"]}

    async def act(self, status: str, *names: str) -> tuple[int, Any]:
        async with self.session.post(PATH, json={"status": status, "services": list(names)}) as answer:
            return answer.status, await answer.json()

    async def shows(self, name: str, **fields: Any) -> None:
        """Wait until the table shows a service like that."""

        def shown() -> bool:
            row = next((row for row in rows(self.supervisor) if row.name == name), None)
            return row is not None and all(getattr(row, field) == value for field, value in fields.items())

        await wait_for(shown)


def rows(supervisor: Supervisor) -> list[Service]:
    """The table."""
    return msgspec.json.decode(supervisor.table, type=list[Service])


@pytest.fixture
async def setting(tmp_path: Path) -> AsyncIterator[Setting]:
    bus = PrivateBus(tmp_path)
    bus.start()
    systemd = FakeSystemd(bus)
    await systemd.connect()
    systemd.install(f"{AGENT}.service", Spec())
    for name in ("clusterware-a", "clusterware-b", "httpd"):
        systemd.install(f"{name}.service", Spec(description=f"Service {name}"))
    live = Live(Config(services=Services(patterns=("clusterware*", "httpd"), timeout=30.0)))
    clock = StillClock()
    faults: list[str] = []

    def check_config() -> None:
        if faults:
            raise ConfigError(faults[0])

    supervisor = Supervisor(SystemdUnits(bus.address), live, Loops(), clock, check_config)
    running = asyncio.create_task(supervisor.run())
    await supervisor.ready()
    async with (
        served(tmp_path / "agent", ROUTES, rooms={"supervisor": supervisor}),
        client(tmp_path / "agent") as session,
    ):
        yield Setting(systemd, bus, supervisor, live, clock, session, faults)
    running.cancel()
    await asyncio.wait([running])
    await systemd.close()
    bus.stop()


def results(body: dict[str, Any]) -> dict[str, list[tuple[str, str]]]:
    return {one["name"]: [(a["action"], a["result"]) for a in one["actions"]] for one in body["data"]}


async def test_the_table_lists_every_service_by_name_with_its_status(setting: Setting) -> None:
    await setting.act("start", "httpd")
    table = await setting.table()
    assert list(table) == ["clusterware-a", "clusterware-b", AGENT, "httpd"]
    assert table["httpd"]["status"] == "up"
    assert table["httpd"]["pid"] > 0
    assert table["clusterware-a"] == {
        "name": "clusterware-a",
        "status": "down",
        "unit": "clusterware-a.service",
        "description": "Service clusterware-a",
        "load_state": "loaded",
        "active_state": "inactive",
        "sub_state": "dead",
        "enabled": "disabled",
        "since": None,
        "pid": None,
        "restarts": 0,
        "result": "success",
    }


async def test_the_table_is_answered_without_asking_systemd(setting: Setting) -> None:
    asked = await setting.settled()
    for _ in range(20):
        await setting.table()
    assert len(setting.systemd.calls) < asked + 20  # it may still look at a unit that was just loaded


async def test_words_are_done_from_left_to_right_and_told_one_by_one(setting: Setting) -> None:
    status, body = await setting.act("enable, start,restart,stop,disable", "clusterware-b", "httpd.service")
    assert (status, body["success"]) == (200, True)
    done = [(word, "done") for word in ("enable", "start", "restart", "stop", "disable")]
    assert results(body) == {"clusterware-b": done, "httpd": done}
    assert [one["status"] for one in body["data"]] == ["down", "down"]
    first = body["data"][0]["actions"][0]
    assert first["detail"] is None
    assert first["took"] >= 0


async def test_after_a_word_that_was_not_done_the_rest_is_skipped_for_that_service(setting: Setting) -> None:
    setting.systemd.install("clusterware-fixed.service", Spec(install=False))
    setting.systemd.reload()
    await setting.shows("clusterware-fixed")
    status, body = await setting.act("enable,start,stop", "clusterware-fixed", "clusterware-a")
    assert (status, body["success"], body["code"]) == (502, False, "failed")
    assert results(body)["clusterware-fixed"] == [("enable", "unsupported"), ("start", "skipped"), ("stop", "skipped")]
    assert results(body)["clusterware-a"] == [("enable", "done"), ("start", "done"), ("stop", "done")]
    details = [action["detail"] for action in body["data"][0]["actions"]]
    assert "[Install]" in details[0]
    assert details[1] == details[2] == "because enable was not done"


async def test_an_instance_that_its_stop_unloads_is_switched_and_started_all_the_same(setting: Setting) -> None:
    setting.systemd.install("clusterware-w@.service", Spec())
    setting.systemd.reload()
    for words in ("stop,disable", "stop,enable,start,disable"):
        await setting.systemd.ended(setting.systemd.start("clusterware-w@1.service"))
        await setting.shows("clusterware-w@1", status="up")
        status, body = await setting.act(words, "clusterware-w@1")
        assert (status, results(body)["clusterware-w@1"]) == (200, [(word, "done") for word in words.split(",")])


async def test_a_reload_that_a_unit_cannot_do_is_unsupported(setting: Setting) -> None:
    await setting.act("start", "httpd")
    status, body = await setting.act("reload", "httpd")
    assert (status, results(body)) == (502, {"httpd": [("reload", "unsupported")]})


async def test_what_will_not_stop_in_time_is_a_timeout_and_stops_later(setting: Setting) -> None:
    setting.systemd.install("clusterware-deaf.service", Spec(Behaviour.STUBBORN))
    setting.systemd.reload()
    await setting.shows("clusterware-deaf")
    await setting.act("start", "clusterware-deaf")
    setting.live.config = Config(services=Services(patterns=("clusterware*", "httpd"), timeout=0.3))
    status, body = await setting.act("stop,start", "clusterware-deaf")
    assert (status, body["code"]) == (504, "timeout")
    assert results(body) == {"clusterware-deaf": [("stop", "timeout"), ("start", "skipped")]}
    await setting.shows("clusterware-deaf", active_state="failed", result="timeout")


async def test_a_refusal_of_polkit_is_not_the_units_failure(setting: Setting) -> None:
    setting.systemd.denied = {("StartUnit", "httpd.service")}
    status, body = await setting.act("start", "httpd", "clusterware-a")
    assert status == 502
    assert results(body) == {"httpd": [("start", "failed")], "clusterware-a": [("start", "done")]}
    assert "this agent may not start httpd.service: run `cw-headctl config apply`" in str(body["data"][0]["actions"])


async def test_a_masked_service_is_neither_started_nor_enabled(setting: Setting) -> None:
    setting.systemd.mask("httpd.service")
    setting.systemd.reload()
    await setting.shows("httpd", load_state="masked", enabled="masked")
    for word in ("start", "enable"):
        status, body = await setting.act(word, "httpd")
        assert (status, results(body)) == (502, {"httpd": [(word, "failed")]})
        assert "masked" in body["data"][0]["actions"][0]["detail"]


async def test_nothing_is_done_when_anything_is_wrong(setting: Setting) -> None:
    status, body = await setting.act("stop,explode", "httpd", "sshd")
    assert (status, body["code"]) == (422, "invalid")
    assert [fault["field"] for fault in body["errors"]] == ["services[1]", "status"]
    status, _ = await setting.act("start", "clusterware-a")  # by then it would have come
    assert status == 200
    assert "StopUnit" not in setting.systemd.calls


async def test_requests_for_one_service_queue_and_none_is_lost(setting: Setting) -> None:
    setting.systemd.install("clusterware-slow.service", Spec(Behaviour.SLOW))
    setting.systemd.reload()
    await setting.shows("clusterware-slow")
    answers = await asyncio.gather(
        *(
            setting.act("restart", *names)
            for names in [("clusterware-slow", "httpd"), ("httpd", "clusterware-slow")] * 3
        )
    )
    assert [status for status, _ in answers] == [200] * 6
    assert setting.systemd.calls.count("RestartUnit") == 12


async def test_a_caller_who_hangs_up_loses_nothing(setting: Setting) -> None:
    setting.systemd.install("clusterware-slow.service", Spec(Behaviour.SLOW))
    setting.systemd.reload()
    await setting.shows("clusterware-slow")
    asking = asyncio.create_task(setting.act("start,enable", "clusterware-slow"))
    await setting.shows("clusterware-slow", active_state="activating")
    asking.cancel()
    await setting.shows("clusterware-slow", active_state="active", enabled="enabled")


async def test_the_agent_answers_before_it_restarts_itself(setting: Setting) -> None:
    status, body = await setting.act("restart", AGENT)
    assert (status, results(body)) == (200, {AGENT: [("restart", "done")]})
    assert "once this is answered" in body["data"][0]["actions"][0]["detail"]
    await setting.shows(AGENT, status="up")


@pytest.mark.parametrize("action", ["restart", "reload"])
async def test_an_agent_that_would_not_start_again_stays_and_nothing_else_is_done(
    setting: Setting, action: str
) -> None:
    setting.faults.append("/etc/x.ini: line 5: a secret")
    await setting.settled()
    before = len(setting.systemd.calls)
    status, body = await setting.act(action, "httpd", AGENT)
    assert (status, body["code"]) == (409, "configuration")
    assert "nothing was done" in body["reason"]
    assert "--check-config" in body["reason"]
    assert "/etc/x.ini" not in body["reason"]
    assert len(setting.systemd.calls) == before
    assert (await setting.act("start", "httpd"))[0] == 200


async def test_the_agent_stays_when_something_else_went_wrong(setting: Setting) -> None:
    setting.systemd.denied = {("RestartUnit", "httpd.service")}
    status, body = await setting.act("restart", "httpd", AGENT)
    assert (status, results(body)) == (502, {"httpd": [("restart", "failed")], AGENT: [("restart", "skipped")]})
    assert "RestartUnit" in setting.systemd.calls
    assert (await setting.table())[AGENT]["status"] == "down"


async def test_a_loss_of_systemd_is_told_after_a_moments_grace(setting: Setting) -> None:
    with log_lines() as lines:
        await setting.systemd.disconnect()
        setting.bus.stop()
        await wait_for(lambda: [line for line in lines if line["event"] == "Systemd not reachable"])
    await setting.table()
    setting.clock.move(GRACE + 0.1)
    for asked in (
        setting.session.get(PATH),
        setting.session.post(PATH, json={"status": "stop", "services": ["httpd"]}),
    ):
        async with asked as answer:
            body = await answer.json()
        assert (answer.status, body["code"]) == (503, "systemd-away")
    setting.bus.start()
    await setting.systemd.connect()
    await wait_for(lambda: setting.supervisor.problem is None)
    assert (await setting.act("start", "httpd"))[0] == 200


async def test_other_patterns_take_effect_at_once(setting: Setting) -> None:
    setting.live.config = Config(services=Services(patterns=("httpd",)))
    setting.supervisor.reselect()
    await wait_for(lambda: rows(setting.supervisor)[0].name == "httpd")
    assert list(await setting.table()) == ["httpd"]

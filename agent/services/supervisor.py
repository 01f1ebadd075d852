"""The head's services: a live table of what systemd says, actions on them, healing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import msgspec
import structlog

from agent.config import ConfigError, Live
from agent.errors import Conflict, Unavailable
from agent.loops import Loops, lasting, periodic
from agent.ports import Changed, Clock, Gone, Lost, Snapshot, Unit, UnitEvent, UnitManager
from agent.services.actions import Done, Outcome, Performer, Result
from agent.services.changes import Changes
from agent.services.healing import Healer
from agent.services.requests import Action, Request, read_request
from agent.services.units import OWN_UNIT, full_name, is_up, left_alone, rows, short_name, status

T = TypeVar("T")

log = structlog.get_logger()

GRACE = 2.0
"""Seconds that the table is still shown after systemd was lost: a restart of dbus-daemon is over by then."""
_INTERVAL = 30.0


class Supervisor:
    """The units that the configuration names: shown, acted on, healed."""

    def __init__(
        self,
        manager: UnitManager,
        live: Live,
        loops: Loops,
        clock: Clock,
        check_config: Callable[[], object] = lambda: None,
    ) -> None:
        """`check_config` raises ConfigError where the agent would not start with its configuration as it is now."""
        self._manager = manager
        self._live = live
        self._check_config = check_config
        self._clock = clock
        self._loop = loops.add("services", _INTERVAL)
        self.healer = Healer(live, clock, self._heal)
        self.performer = Performer(manager, self.unit, clock)
        self._units: dict[str, Unit] = {}
        self.changes = Changes()
        """The same table, for those that follow it."""
        self._names: dict[str, str] = {}
        self._table: bytes | None = None
        self._filled = asyncio.Event()
        self._lost: tuple[float, str] | None = (float("-inf"), "systemd's units have not been read yet")
        self._warned = False
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._group: asyncio.TaskGroup | None = None

    @property
    def problem(self) -> str | None:
        """Why the table cannot be relied on, one sentence; None while it can."""
        if self._lost is None or self._clock.monotonic() - self._lost[0] < GRACE:
            return None
        return self._lost[1]

    @property
    def table(self) -> bytes:
        """The rows of GET /head/services as a JSON list, kept ready; raises Unavailable."""
        if self._lost is not None and (problem := self.problem) is not None:
            raise Unavailable(problem, code="systemd-away")
        if self._table is None:
            self._table = msgspec.json.encode(rows(self._units.values()))
        return self._table

    def unit(self, name: str) -> Unit | None:
        """What is known of a unit, by its primary name."""
        return self._units.get(name)

    @property
    def units(self) -> Collection[Unit]:
        """What is known of all units; nothing while systemd is away."""
        return self._units.values() if self.problem is None else ()

    async def ready(self) -> None:
        """Wait until the table has been filled once."""
        await self._filled.wait()

    async def run(self) -> None:
        """Follow systemd and heal, until cancelled."""
        self.reselect()
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                group.create_task(lasting(self._manager.run, self._hear))
                group.create_task(lasting(periodic, self._loop, self._turn, wake=self.healer.wake))
        finally:
            self._group = None
            self.healer.close()

    def reselect(self) -> None:
        """The configuration may have changed: follow the units that it names now."""
        self._manager.select([full_name(pattern) for pattern in self._live.config.services.patterns])
        self.healer.wake.set()

    def read(self, body: Mapping[str, Any]) -> Request:
        """A request for actions out of a body, checked as a whole; raises Invalid, or Unavailable without systemd."""
        if (problem := self.problem) is not None:
            raise Unavailable(problem, code="systemd-away")
        return read_request(body, self._names)

    async def carry_out(self, request: Request) -> list[Outcome]:
        """Do what is asked, action by action, the units of each in parallel; raises Unavailable at start and stop.

        Raises Conflict, and does nothing, where this agent is among the units and would not start again. Whoever
        stops waiting stops nothing. The agent's own unit is only answered for: `act_on_self` does it afterwards, if all
        else went well.
        """
        if request.own:
            await self._check_own_config()
        others = [name for name in request.units if name != OWN_UNIT]
        done = await self._owned(self._perform(request.actions, others)) if others else {}
        well = all(one.result is Result.DONE for each in done.values() for one in each)
        if request.own:
            result = Result.DONE if well else Result.SKIPPED
            detail = "begins once this is answered" if well else "because another service's action was not done"
            done[OWN_UNIT] = [Done(action, result, detail, 0.0) for action in request.actions]
        return [Outcome(short_name(name), self._status(name), done[name]) for name in request.units]

    async def _check_own_config(self) -> None:
        try:
            await asyncio.to_thread(self._check_config)
        except ConfigError as err:
            log.error("Configuration refused", reason=str(err), todo="mend the file, then ask again; nothing was done")
            raise Conflict(
                f"{short_name(OWN_UNIT)} would refuse its configuration, and nothing was done: "
                "`clusterware-head-agent --check-config` on that head tells what is wrong",
                code="configuration",
            ) from err

    def act_on_self(self, actions: Sequence[Action]) -> None:
        """Begin to restart or reload this very agent."""

        async def act() -> None:
            for action in actions:
                await self.performer.perform(action, OWN_UNIT, self._live.config.services.timeout)

        self._running.create_task(act())

    @property
    def _running(self) -> asyncio.TaskGroup:
        if self._group is None:
            raise Unavailable("the agent is starting or stopping: try again in a moment")
        return self._group

    async def _perform(self, actions: Sequence[Action], units: Sequence[str]) -> dict[str, list[Done]]:
        timeout = self._live.config.services.timeout
        done: dict[str, list[Done]] = {name: [] for name in units}
        async with AsyncExitStack() as stack:
            for name in sorted(units):  # always in this order, or two requests could wait for each other
                await stack.enter_async_context(self._lock(name))
            for action in actions:
                async with asyncio.TaskGroup() as group:
                    tasks = {
                        name: group.create_task(self.performer.perform(action, name, timeout, done[name]))
                        for name in units
                    }
                for name, task in tasks.items():
                    done[name].append(task.result())
        return done

    async def _owned(self, work: Coroutine[Any, Any, T]) -> T:
        """Have the work done in this room's own task: it goes on when the one who waits for it is cancelled."""
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        async def do() -> None:
            try:
                result = await work
            except Exception as err:  # noqa: BLE001  whoever asked answers for it, not all of the agent
                if not answer.done():
                    answer.set_exception(err)
            else:
                if not answer.done():
                    answer.set_result(result)
            finally:
                answer.cancel()

        try:
            self._running.create_task(do())
        except Unavailable:
            work.close()
            raise
        return await answer

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())

    def _status(self, name: str) -> str:
        unit = self._units.get(name)
        return status(unit) if unit is not None else "down"

    async def _turn(self) -> None:
        if self._lost is None:
            self.healer.turn(self._units.values())

    def _heal(self, name: str) -> None:
        self._running.create_task(self._start_again(name))

    async def _start_again(self, name: str) -> None:
        settings = self._live.config.services
        try:
            async with self._lock(name):
                unit = self._units.get(name)
                if unit is None or unit.active_state != "failed" or left_alone(unit, settings):
                    return  # somebody else was quicker
                done = await self.performer.perform(Action.START, name, settings.timeout)
        finally:
            self.healer.started(name)
        if done.result is Result.DONE:
            log.info("Unit started again", unit=name, took=done.took)
        else:
            log.warning("Unit could not be started again", unit=name, reason=done.detail)

    def _hear(self, event: UnitEvent) -> None:
        match event:
            case Snapshot(units):
                self._fill(units)
            case Changed(unit):
                self._put(unit)
            case Gone(name):
                self._drop(name)
            case Lost(reason):
                self._lose(reason)
        self._table = None
        self.changes.hear(event)

    def _fill(self, units: Sequence[Unit]) -> None:
        if self._filled.is_set():
            for name in self._units.keys() - {unit.name for unit in units}:
                self._drop(name)
            if self._warned:
                log.info("Systemd reachable again", units=len(units))
        else:
            log.info("Services read", units=len(units), up=sum(map(is_up, units)))
        for unit in units:
            self._put(unit)
        self._lost, self._warned = None, False
        self._filled.set()

    def _put(self, unit: Unit) -> None:
        old = self._units.get(unit.name)
        self._units[unit.name] = unit
        self._name(old, unit)
        if self._filled.is_set() and (old is None or is_up(old) != is_up(unit)):
            _say_turned(unit)
        self.healer.notice(unit)

    def _drop(self, name: str) -> None:
        self._name(self._units.pop(name), None)
        self.healer.forget(name)
        log.info("Service vanished", unit=name)

    def _name(self, old: Unit | None, new: Unit | None) -> None:
        """Keep the names by which units can be asked for."""
        if old is not None:
            for name in (old.name, *old.aliases):
                self._names.pop(name, None)
        if new is not None:
            self._names.update(dict.fromkeys((new.name, *new.aliases), new.name))

    def _lose(self, reason: str) -> None:
        since = self._lost[0] if self._lost is not None else self._clock.monotonic()
        self._lost = (since, reason)
        if not self._warned:
            self._warned = True
            log.warning("Systemd not reachable", reason=reason, todo="see `systemctl status dbus`; retrying by itself")


def _say_turned(unit: Unit) -> None:
    if is_up(unit):
        log.info("Service is up", unit=unit.name, state=unit.active_state, sub_state=unit.sub_state)
    else:
        log.info(
            "Service is down", unit=unit.name, state=unit.active_state, sub_state=unit.sub_state, result=unit.result
        )

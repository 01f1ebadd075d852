"""systemd as the UnitManager, over D-Bus: told by signals, never polled."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from agent.adapters.systemd import wire
from agent.adapters.systemd.bus import BusError, Connection, GLibThread
from agent.adapters.systemd.jobs import GONE, Jobs
from agent.adapters.systemd.reader import PATIENCE, Reader
from agent.errors import Failed, NotFound, TimedOut, Unavailable
from agent.ports import Changed, Gone, Lost, Snapshot, Unit, UnitEvent, Verb

SYSTEM_BUS = "unix:path=/run/dbus/system_bus_socket"
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 5.0
"""Seconds between attempts to connect: doubled each time, and from the first on again after a success."""

SETTLE = 2.0
"""Seconds that the answer to an action waits for what it has changed to be looked at."""

BACK = 2.0
"""Seconds that an action waits for systemd to come back to the bus, which a daemon-reexec has it leave for a moment."""

SWITCHES = 4
"""Units that are enabled or disabled at once: each has systemd reload all units, and many would silence it."""

METHODS = {Verb.START: "StartUnit", Verb.STOP: "StopUnit", Verb.RESTART: "RestartUnit", Verb.RELOAD: "ReloadUnit"}


class SystemdUnits:
    """UnitManager over the system bus (`address`, else DBUS_SYSTEM_BUS_ADDRESS, else the usual socket)."""

    def __init__(self, address: str | None = None) -> None:
        self._address = address or os.environ.get("DBUS_SYSTEM_BUS_ADDRESS") or SYSTEM_BUS
        self._selection = wire.Selection(())
        self._hear: Callable[[UnitEvent], None] = lambda _event: None
        self._systemd: Reader | None = None
        self._back = asyncio.Event()
        """Whether there is a systemd to ask."""
        self._jobs = Jobs()
        self._units: dict[str, Unit] = {}
        self._files: dict[str, str] = {}
        self._wake = asyncio.Event()
        self._relist = False
        self._loaded: set[str] = set()
        """Units that were loaded and have not been looked at yet."""
        self._reloading = False
        """systemd is at a daemon-reload: it signals that every unit vanishes, then that it is back."""
        self._settled = asyncio.Event()
        """Whether all that was signalled has been looked at."""
        self._meanwhile: list[tuple[str, wire.Fields]] | None = None
        """What was signalled since the question that is under way was put."""
        self._switching = asyncio.Semaphore(SWITCHES)

    def select(self, patterns: Sequence[str]) -> None:
        """See UnitManager."""
        if tuple(patterns) != self._selection.patterns:
            self._selection = wire.Selection(patterns)
            self._read_all()

    async def run(self, hear: Callable[[UnitEvent], None]) -> None:
        """See UnitManager."""
        self._hear = hear
        thread = GLibThread()
        pause = FIRST_PAUSE
        try:
            while True:
                try:
                    bus = await Connection.open(thread, self._address, self._wake.set, timeout=PATIENCE)
                except BusError as err:
                    hear(Lost(f"cannot connect to the system bus: {err.message}"))
                else:
                    if await self._follow(bus):
                        pause = FIRST_PAUSE
                await asyncio.sleep(pause * random.uniform(0.8, 1.2))
                pause = min(2 * pause, LONGEST_PAUSE)
        finally:
            thread.stop()

    async def job(self, verb: Verb, unit: str, timeout: float) -> str:
        """See UnitManager."""
        return await self._job(f"{verb} {unit}", verb, unit, timeout)

    async def reset_failed(self, unit: str, timeout: float) -> None:
        """See UnitManager."""
        with suppress(NotFound):
            await self._do(f"reset-failed {unit}", "ResetFailedUnit", "(s)", unit, timeout=timeout)

    async def enable(self, unit: str, timeout: float) -> str:
        """See UnitManager."""
        return await self._switch("enable", unit, timeout)

    async def disable(self, unit: str, timeout: float) -> str:
        """See UnitManager."""
        return await self._switch("disable", unit, timeout)

    async def _switch(self, word: str, unit: str, timeout: float) -> str:
        doing = f"{word} {unit}"
        try:
            async with asyncio.timeout(timeout):
                await self._switching.acquire()
        except TimeoutError as err:
            raise TimedOut(f"cannot {doing}: its turn after other units has not come within {timeout:g} s") from err
        try:
            return await self._switch_now(doing, word, unit, timeout)
        finally:
            self._switching.release()

    async def _switch_now(self, doing: str, word: str, unit: str, timeout: float) -> str:
        try:
            await self._job(doing, Verb.START, wire.switch(word, unit), timeout)
        except NotFound as err:
            reason = f"cannot {doing}: {wire.SWITCHES[word]}.service is not installed: install the agent again"
            raise Failed(reason) from err
        if self._systemd is None:
            raise Unavailable(f"{doing} was done, but D-Bus went away before its effect could be seen")
        try:
            state = await self._systemd.file_state(unit)
        except BusError as err:
            raise wire.failure(err, doing) from err
        self._apply(unit, {"file_state": state})
        return state

    async def _job(self, doing: str, verb: Verb, unit: str, timeout: float) -> str:
        try:
            async with asyncio.timeout(timeout):
                (path,) = await self._do(doing, METHODS[verb], "(ss)", unit, "replace", timeout=timeout)
                result = await self._jobs.result(path)
        except TimeoutError as err:
            raise TimedOut(f"{doing} has not ended within {timeout:g} s; systemd goes on with it") from err
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE):
                await self._settled.wait()
        return self._guess(verb, unit) if result == GONE else result

    async def _do(self, doing: str, method: str, signature: str, *arguments: Any, timeout: float) -> Any:
        if self._systemd is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(BACK, timeout)):
                    await self._back.wait()
        if self._systemd is None:
            raise Unavailable(f"cannot {doing}: systemd is not reachable over D-Bus")
        try:
            return await self._systemd.manager(method, signature, *arguments, timeout=timeout)
        except BusError as err:
            raise wire.failure(err, doing) from err

    def _guess(self, verb: Verb, unit: str) -> str:
        """How a job ended whose end nobody heard, by what the unit is like now."""
        known = self._units.get(unit)
        resting = known is None or known.active_state in ("inactive", "failed")
        return "done" if resting == (verb is Verb.STOP) else "failed"

    async def _follow(self, bus: Connection) -> bool:
        """Keep what is known true until the connection ends, then close it; returns whether it ever was true."""
        systemd = Reader(bus)
        self._listen(bus)
        listed = False
        try:
            if await systemd.present():
                self._read_all()
            else:
                self._hear(Lost("systemd is not on the system bus"))
            while not bus.closed:
                if not self._relist and not self._loaded:
                    await self._wake.wait()
                self._wake.clear()
                if self._relist:
                    await self._list(systemd)
                    listed = True
                elif self._loaded:
                    await self._look(systemd)
                if not self._relist and not self._loaded:
                    self._settled.set()
            self._hear(Lost("the system bus closed the connection"))
        except BusError as err:
            self._hear(Lost(f"cannot ask systemd: {err.message}"))
        finally:
            self._lose()
            await bus.close()
        return listed

    async def _list(self, systemd: Reader) -> None:
        self._relist, self._meanwhile = False, []
        self._loaded.clear()
        try:
            await systemd.subscribe()
            if not self._relist:
                self._reloading = False  # its end was missed: systemd does not answer in between
            listing = await systemd.everything(self._selection)
        finally:
            meanwhile, self._meanwhile = self._meanwhile, None
        self._files = listing.files
        self._units = self._merged(listing.units, meanwhile)
        self._systemd = systemd
        self._back.set()
        self._hear(Snapshot(tuple(self._units.values())))
        await self._jobs.settle(systemd.exists)

    async def _look(self, systemd: Reader) -> None:
        names, self._loaded, self._meanwhile = self._loaded, set(), []
        try:
            units = await systemd.look(names, self._files)
        finally:
            meanwhile, self._meanwhile = self._meanwhile, None
        for name, unit in units.items():
            if (old := self._units.get(name)) is not None:
                units[name] = replace(unit, aliases=old.aliases)
        for name, unit in self._merged(units, meanwhile).items():
            if unit != self._units.get(name):
                self._units[name] = unit
                self._hear(Changed(unit))

    def _merged(self, read: dict[str, Unit], meanwhile: list[tuple[str, wire.Fields]]) -> dict[str, Unit]:
        """What was read, with what is only remembered, and with what was signalled while it was read."""
        merged: dict[str, Unit | None] = {n: wire.remember(self._units.get(n), unit) for n, unit in read.items()}
        for name, fields in meanwhile:
            if name in merged:
                merged[name] = self._changed(merged[name], name, fields)
        return {name: unit for name, unit in merged.items() if unit is not None}

    def _apply(self, name: str, fields: wire.Fields) -> None:
        """Note a change at once, and once more over the answer to the question that is under way."""
        if self._meanwhile is not None:
            self._meanwhile.append((name, fields))
        old = self._units.get(name)
        new = self._changed(old, name, fields)
        if new == old:
            return
        if new is None:
            del self._units[name]
            self._hear(Gone(name))
        else:
            self._units[name] = new
            self._hear(Changed(new))

    def _changed(self, unit: Unit | None, name: str, fields: wire.Fields) -> Unit | None:
        """A unit after a change; one that was unloaded is still there if it is installed."""
        return None if fields is wire.UNLOADED and name not in self._files else wire.changed(unit, fields)

    def _listen(self, bus: Connection) -> None:
        """Subscribe to all that has to be heard, before the first question is put."""

        def counts(name: str) -> bool:
            return name in self._selection or name in self._units

        def changed(path: str, arguments: Any) -> tuple[str, wire.Fields] | None:
            return wire.properties_changed(path, arguments) if counts(wire.unit_name(path)) else None

        def first(_path: str, arguments: Any) -> Any:
            return arguments.unpack()[0]

        def unit(path: str, arguments: Any) -> str | None:
            name: str = first(path, arguments)
            return name if counts(name) else None

        def job(_path: str, arguments: Any) -> tuple[str, str, str] | None:
            _id, path, name, result = arguments.unpack()
            return (path, name, result) if counts(name) or wire.is_switch(name) else None

        for interface in (wire.UNIT, wire.SERVICE):
            bus.on_signal(wire.NAME, wire.PROPERTIES, "PropertiesChanged", interface, changed, self._on_changed)
        bus.on_signal(wire.NAME, wire.MANAGER, "UnitNew", None, unit, self._on_loaded)
        bus.on_signal(wire.NAME, wire.MANAGER, "UnitRemoved", None, unit, self._on_unloaded)
        bus.on_signal(wire.NAME, wire.MANAGER, "JobRemoved", None, job, self._on_job_ended)
        bus.on_signal(wire.NAME, wire.MANAGER, "UnitFilesChanged", None, lambda *_: True, self._read_all)
        bus.on_signal(wire.NAME, wire.MANAGER, "Reloading", None, first, self._on_reloading)
        bus.on_signal(
            wire.BUS_NAME,
            wire.BUS_NAME,
            "NameOwnerChanged",
            wire.NAME,
            lambda _path, arguments: arguments.unpack()[2],
            self._on_owner,
        )

    def _read_all(self, _signal: object = None) -> None:
        self._relist = True
        self._settled.clear()
        self._wake.set()

    def _on_reloading(self, begins: bool) -> None:  # noqa: FBT001  the signal's only argument
        self._reloading = begins
        self._read_all()

    def _lose(self) -> None:
        self._systemd = None
        self._back.clear()

    def _on_owner(self, owner: str) -> None:
        self._lose()
        if owner:
            self._read_all()
        else:
            self._hear(Lost("systemd has left the system bus"))

    def _on_changed(self, change: tuple[str, wire.Fields]) -> None:
        if not self._reloading:
            self._apply(*change)

    def _on_loaded(self, name: str) -> None:
        if not self._reloading:
            self._loaded.add(name)
            self._settled.clear()
            self._wake.set()

    def _on_unloaded(self, name: str) -> None:
        if not self._reloading:
            self._apply(name, wire.UNLOADED)

    def _on_job_ended(self, ended: tuple[str, str, str]) -> None:
        path, name, result = ended
        unit = self._units.get(name)
        # Any other job that is done leaves its unit active, or inactive with success.
        if result == "done" and unit is not None and unit.active_state == "failed":
            self._apply(name, {"stopped": True})
        self._jobs.end(path, result)

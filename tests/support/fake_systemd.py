"""A fake systemd on a real bus: it keeps state, runs jobs, loads and unloads units, and signals as systemd 252 does."""

from __future__ import annotations

import asyncio
import fnmatch
import itertools
import re
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from dbus_fast import Message, MessageType, NameFlag, Variant
from dbus_fast.aio import MessageBus

from tests.support.fake_units import FakeUnit, UnitFile, now
from tests.support.private_bus import PrivateBus
from tests.support.unit_specs import Behaviour, Spec

NAME = "org.freedesktop.systemd1"
ROOT = "/org/freedesktop/systemd1"
MANAGER = f"{NAME}.Manager"
PROPERTIES = "org.freedesktop.DBus.Properties"
HELPER = re.compile(r"clusterware-head-agent-(enable|disable)@(.+)\.service")

DELAY = 0.2
"""Seconds that slow starts take."""
KILL_AFTER = 1.0
"""Seconds until systemd kills what does not stop."""


class Refusal(Exception):
    """A D-Bus error to answer with: its name below org.freedesktop.systemd1, or in full, and its message."""


class FakeSystemd:
    """systemd, as far as the agent speaks to it. Drive it like an operator: `install`, `kill`, `reload` and so on."""

    def __init__(self, bus: PrivateBus) -> None:
        self._private = bus
        self._files: dict[str, UnitFile] = {}
        self._units: dict[str, FakeUnit] = {}
        self._bus: MessageBus | None = None
        self._subscribed: set[str] = set()
        self._jobs: dict[int, tuple[str, asyncio.Task[None]]] = {}
        self._numbers = itertools.count(1)
        self._pids = itertools.count(1000)
        self._later: set[asyncio.Task[None]] = set()
        self.denied: set[tuple[str, str]] = set()
        """Pairs of method and unit that polkit refuses."""
        self.deaf = False
        """Whether the ends of jobs are not signalled, as when the bus is away just then."""
        self.calls: list[str] = []
        """The methods that were called, in order."""
        self.next: dict[str, Callable[[], None]] = {}
        """By method: what happens right after it was answered the next time."""

    # --- Being there ---

    async def connect(self) -> None:
        """Come up on the bus."""
        self._bus = await MessageBus(bus_address=self._private.address).connect()
        self._bus.add_message_handler(self._answer)
        await self._bus.request_name(NAME, NameFlag.REPLACE_EXISTING)

    async def disconnect(self) -> None:
        """Leave the bus."""
        assert self._bus is not None
        bus, self._bus = self._bus, None
        self._subscribed.clear()
        bus.disconnect()
        await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]

    async def close(self) -> None:
        """Leave, and drop everything that goes on."""
        for task in [*self._later, *(task for _, task in self._jobs.values())]:
            task.cancel()
        if self._bus is not None:
            await self.disconnect()

    # --- What an operator does ---

    def install(self, name: str, spec: Spec, state: str = "") -> None:
        """Write a unit file; systemd looks at it when it loads the unit, or at a reload."""
        self._files[name] = UnitFile(spec, state or ("disabled" if spec.install else "static"))
        if spec.alias:
            self._files[spec.alias] = UnitFile(spec, "alias", alias_of=name)

    def uninstall(self, name: str) -> None:
        """Remove a unit file."""
        del self._files[name]

    def mask(self, name: str) -> None:
        """Link the unit file to /dev/null, as `systemctl mask` does, without its reload."""
        self._files[name] = UnitFile(Spec(description=name), "masked")

    def switch(self, name: str, state: str) -> None:
        """Set a unit file's state by hand: `systemctl enable` or `disable`."""
        name = self._primary(name)
        if name in self._files and self._files[name].state in ("enabled", "disabled"):
            self._files[name].state = state
        elif "@" in name:
            self._files[name] = UnitFile(self._spec(name) or Spec(), state, instance=True)
        self._signal("UnitFilesChanged")
        self.reload()

    def kill(self, name: str) -> None:
        """SIGKILL the main process."""
        self._die(self._load(name), "signal")

    def reload(self) -> None:
        """daemon-reload: every unit is said to vanish and to come back."""
        self._signal("Reloading", "b", [True])
        for unit in list(self._units.values()):
            self._signal("UnitRemoved", "so", [unit.name, unit.path])
            unit.apply(self._files.get(self._template(unit.name)))
        for unit in list(self._units.values()):
            self._signal("UnitNew", "so", [unit.name, unit.path])
        self._signal("Reloading", "b", [False])
        for unit in list(self._units.values()):
            self._collect(unit)

    async def reexec(self) -> None:
        """daemon-reexec: as a reload, and another owner of the name on the bus."""
        await self.begin_reexec()
        await self.connect()
        self.reload()

    async def begin_reexec(self) -> None:
        """The first half of it, up to where nobody has the name; `connect` is the other."""
        self._signal("Reloading", "b", [True])
        await self.disconnect()

    def start(self, name: str) -> str:
        """Queue a start job; returns its path."""
        return self._queue("StartUnit", name)

    def stop(self, name: str) -> str:
        """Queue a stop job; returns its path."""
        return self._queue("StopUnit", name)

    async def ended(self, path: str) -> None:
        """Wait for the end of a job."""
        await asyncio.wait([task for job, task in self._jobs.values() if job == path])

    # --- The interface on the bus ---

    def _answer(self, message: Message) -> Message | None:
        if message.message_type is not MessageType.METHOD_CALL or not message.path or not message.member:
            return None
        if not message.path.startswith(ROOT):
            return None
        try:
            if message.interface == PROPERTIES and message.member == "Get":
                return Message.new_method_return(message, "v", [self._get(message.path, message.body[1])])
            self.calls.append(message.member)
            method: Callable[..., tuple[str, list[Any]]] = getattr(self, f"_call_{message.member}")
            signature, body = method(message.sender, *message.body)
            if (work := self.next.pop(message.member, None)) is not None:
                asyncio.get_running_loop().call_soon(work)
        except Refusal as err:
            name, text = err.args
            return Message.new_error(message, name if "." in name else f"{NAME}.{name}", text)
        return Message.new_method_return(message, signature, body)

    def _call_Subscribe(self, sender: str) -> tuple[str, list[Any]]:
        if sender in self._subscribed:
            raise Refusal("AlreadySubscribed", "Client is already subscribed.")
        self._subscribed.add(sender)
        return "", []

    def _call_ListUnitFilesByPatterns(self, _: str, _states: list[str], patterns: list[str]) -> tuple[str, list[Any]]:
        files = {name: file for name, file in self._files.items() if not file.instance}
        return "a(ss)", [[[f"/etc/systemd/system/{n}", f.state] for n, f in files.items() if _match(n, patterns)]]

    def _call_ListUnitsByPatterns(self, _: str, _states: list[str], patterns: list[str]) -> tuple[str, list[Any]]:
        return "a(ssssssouso)", [[unit.row() for unit in self._units.values() if _match(unit.name, patterns)]]

    def _call_ListUnitsByNames(self, _: str, names: list[str]) -> tuple[str, list[Any]]:
        units = [self._load(name) for name in names]
        rows = [unit.row() for unit in units]
        self._soon(*(unit for unit in units))
        return "a(ssssssouso)", [rows]

    def _call_GetUnitFileState(self, _: str, name: str) -> tuple[str, list[Any]]:
        file = self._files.get(name) or self._files.get(self._template(name))
        if file is None:
            raise Refusal("org.freedesktop.DBus.Error.FileNotFound", "No such file or directory")
        return "s", [file.state]

    def _call_GetJob(self, _: str, number: int) -> tuple[str, list[Any]]:
        if number not in self._jobs:
            raise Refusal("NoSuchJob", f"Job {number} does not exist.")
        return "o", [self._jobs[number][0]]

    def _call_ResetFailedUnit(self, _: str, name: str) -> tuple[str, list[Any]]:
        self._permit("ResetFailedUnit", name)
        unit = self._units.get(self._primary(name))
        if unit is None:
            raise Refusal("NoSuchUnit", f"Unit {name} not loaded.")
        unit.starts = unit.restarts = 0
        if unit.active_state == "failed":
            unit.enter("inactive", "dead")
            unit.result = "success"
            self._changed(unit)
        return "", []

    def _call_StartUnit(self, _: str, name: str, _mode: str) -> tuple[str, list[Any]]:
        return "o", [self._queue("StartUnit", name)]

    def _call_StopUnit(self, _: str, name: str, _mode: str) -> tuple[str, list[Any]]:
        return "o", [self._queue("StopUnit", name)]

    def _call_RestartUnit(self, _: str, name: str, _mode: str) -> tuple[str, list[Any]]:
        return "o", [self._queue("RestartUnit", name)]

    def _call_ReloadUnit(self, _: str, name: str, _mode: str) -> tuple[str, list[Any]]:
        return "o", [self._queue("ReloadUnit", name)]

    def _get(self, path: str, name: str) -> Variant:
        for unit in [*self._units.values(), *(FakeUnit(name) for name in self._files)]:
            if unit.path == path:
                loaded = self._load(unit.name)
                self._soon(loaded)
                return loaded.properties()[name]
        raise Refusal("org.freedesktop.DBus.Error.UnknownObject", f"Unknown object '{path}'.")

    def _permit(self, method: str, name: str) -> None:
        if (method, name) in self.denied:
            raise Refusal("org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", "Authentication required.")

    # --- Loading and unloading ---

    def _primary(self, name: str) -> str:
        file = self._files.get(name)
        return file.alias_of if file is not None and file.alias_of else name

    def _template(self, name: str) -> str:
        if name in self._files and not self._files[name].instance:
            return name
        return re.sub(r"@.*\.", "@.", name)

    def _spec(self, name: str) -> Spec | None:
        file = self._files.get(self._template(name))
        return file.spec if file is not None else None

    def _load(self, name: str) -> FakeUnit:
        name = self._primary(name)
        if name not in self._units:
            self._units[name] = unit = FakeUnit(name)
            unit.apply(self._files.get(self._template(name)))
            self._signal("UnitNew", "so", [name, unit.path])
        return self._units[name]

    def _collect(self, unit: FakeUnit) -> None:
        """Unload a unit that nobody needs."""
        enabled = (file := self._files.get(unit.name)) is not None and file.state == "enabled"
        if unit.active_state == "inactive" and not unit.job and not enabled and self._units.get(unit.name) is unit:
            del self._units[unit.name]
            self._signal("UnitRemoved", "so", [unit.name, unit.path])

    def _soon(self, *units: FakeUnit) -> None:
        async def collect() -> None:
            for unit in units:
                self._collect(unit)

        self._spawn(collect())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    # --- Jobs ---

    def _queue(self, method: str, name: str) -> str:
        self._permit(method, name)
        if not HELPER.fullmatch(name) and self._spec(self._primary(name)) is None and name not in self._units:
            raise Refusal("NoSuchUnit", f"Unit {name} not found.")
        unit = self._load(name)
        if unit.load_state == "masked" and method != "StopUnit":
            raise Refusal("UnitMasked", f"Unit {name} is masked.")
        if method == "ReloadUnit" and not unit.spec.reloads:
            raise Refusal("JobTypeNotApplicable", f"Job type reload is not applicable for unit {name}.")
        if unit.job and unit.job_method == method:
            return f"{ROOT}/job/{unit.job}"
        number = next(self._numbers)
        path = f"{ROOT}/job/{number}"
        unit.job, unit.job_method = number, method
        self._changed(unit)
        self._jobs[number] = (path, asyncio.get_running_loop().create_task(self._run(number, path, method, unit)))
        return path

    async def _run(self, number: int, path: str, method: str, unit: FakeUnit) -> None:
        await asyncio.sleep(0)
        result = "done"
        if helper := HELPER.fullmatch(unit.name):
            self.switch(f"{helper[2]}.service", "enabled" if helper[1] == "enable" else "disabled")
        elif method == "ReloadUnit":
            result = "done" if unit.active_state == "active" else "invalid"
        else:
            if method in ("StopUnit", "RestartUnit"):
                await self._stop(unit)
            if method in ("StartUnit", "RestartUnit"):
                result = await self._start(unit)
        if unit.job == number:
            unit.job = 0
        del self._jobs[number]
        self._changed(unit)
        if not self.deaf:
            self._signal("JobRemoved", "uoss", [number, path, unit.name, result])
        self._collect(unit)

    async def _start(self, unit: FakeUnit) -> str:
        if unit.active_state == "active":
            return "done"
        if unit.starts >= 3 and unit.spec.behaviour is Behaviour.CRASHING:
            unit.enter("failed", "failed")
            self._changed(unit)
            return "failed"
        unit.starts += 1
        unit.pid, unit.result, unit.main_start = next(self._pids), "success", now()
        if unit.spec.behaviour is Behaviour.SLOW:
            unit.enter("activating", "start")
            self._changed(unit)
            await asyncio.sleep(DELAY)
        unit.enter("active", "running")
        self._changed(unit)
        if unit.spec.behaviour is Behaviour.CRASHING:
            self._spawn(self._crash(unit))
        return "done"

    async def _crash(self, unit: FakeUnit) -> None:
        await asyncio.sleep(0.01)
        self._die(unit, "exit-code")
        unit.enter("activating", "auto-restart")
        self._changed(unit)
        await asyncio.sleep(0.01)
        unit.restarts += 1
        await self._start(unit)

    def _die(self, unit: FakeUnit, result: str) -> None:
        unit.main_exit, unit.pid, unit.result = now(), 0, result
        unit.enter("failed", "failed")
        self._changed(unit)

    async def _stop(self, unit: FakeUnit) -> None:
        if unit.active_state in ("inactive", "failed"):
            return
        unit.enter("deactivating", "stop-sigterm")
        self._changed(unit)
        match unit.spec.behaviour:
            case Behaviour.SULKING:
                self._die(unit, "exit-code")
            case Behaviour.STUBBORN:
                await asyncio.sleep(KILL_AFTER)
                self._die(unit, "timeout")
            case _:
                unit.main_exit, unit.pid = now(), 0
                unit.enter("inactive", "dead")
                self._changed(unit)

    # --- Signals ---

    def _changed(self, unit: FakeUnit) -> None:
        if self._units.get(unit.name) is not unit:
            return
        for interface, names in unit.signalled():
            body = [interface, {name: unit.properties()[name] for name in names}, []]
            self._send(unit.path, PROPERTIES, "PropertiesChanged", "sa{sv}as", body)

    def _signal(self, member: str, signature: str = "", body: Sequence[Any] = ()) -> None:
        self._send(ROOT, MANAGER, member, signature, list(body))

    def _send(self, path: str, interface: str, member: str, signature: str, body: list[Any]) -> None:
        if self._bus is not None and self._subscribed:
            sent = self._bus.send(Message.new_signal(path, interface, member, signature, body))
            sent.add_done_callback(lambda done: done.cancelled() or done.exception())


def _match(name: str, patterns: list[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)

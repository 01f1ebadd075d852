"""What can be asked of systemd over D-Bus, each question one round trip however many units it is about."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import structlog

from agent.adapters.systemd import wire
from agent.adapters.systemd.bus import CLOSED, NO_REPLY, BusError, Connection, Variant
from agent.ports import Unit

log = structlog.get_logger()

PATIENCE = 10.0
"""Seconds that systemd has for an answer; a daemon-reload can keep it busy for some."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The units of a selection, and the state of each unit file that bears a unit's own name."""

    units: dict[str, Unit]
    files: dict[str, str]


class Reader:
    """Questions to the systemd at the other end of a connection; each raises BusError."""

    def __init__(self, bus: Connection) -> None:
        self._bus = bus

    async def present(self) -> bool:
        """Whether systemd is on the bus."""
        try:
            await self._bus.call(
                wire.BUS_NAME,
                wire.BUS_PATH,
                wire.BUS_NAME,
                "GetNameOwner",
                Variant("(s)", (wire.NAME,)),
                timeout=PATIENCE,
            )
        except BusError as err:
            if err.name == wire.NO_OWNER:
                return False
            raise  # a bus that only did not answer in time will not say later that systemd has come: it is there
        return True

    async def subscribe(self) -> None:
        """Have systemd send signals to this connection."""
        try:
            await self.manager("Subscribe")
        except BusError as err:
            if not err.name.endswith(".AlreadySubscribed"):
                raise

    async def exists(self, job: str) -> bool:
        """Whether the job with this object path has not ended."""
        try:
            await self.manager("GetJob", "(u)", int(job.rpartition("/")[2]))
        except BusError as err:
            if err.name.endswith(".NoSuchJob"):
                return False
            raise
        return True

    async def everything(self, selection: wire.Selection) -> Listing:
        """All units of the selection: loaded, or installed and not loaded (those are loaded for a moment)."""
        files, rows = await asyncio.gather(
            self._all("ListUnitFilesByPatterns", "(asas)", [], selection.loose),
            self._all("ListUnitsByPatterns", "(asas)", [], selection.loose),
        )
        found = {path.rpartition("/")[2]: state for path, state in files}
        installed = {name: state for name, state in found.items() if name in selection and not wire.is_template(name)}
        loaded = {row[0]: row for row in rows if row[0] in selection}
        others = [name for name in installed if name not in loaded]
        answers = await self._all("ListUnitsByNames", "(as)", others) if others else []
        aliases: dict[str, set[str]] = {}
        asleep: dict[str, Any] = {}
        for name, row in zip(others, answers, strict=True):
            if row[0] != name:
                aliases.setdefault(row[0], set()).add(name)
            if row[0] not in loaded:
                asleep[row[0]] = row
        units = await asyncio.gather(
            *(self._read(row, installed, asks=True) for row in loaded.values()),
            *(self._read(row, installed, asks=row[3] != "inactive") for row in asleep.values()),
        )
        named = {unit.name: replace(unit, aliases=frozenset(aliases.get(unit.name, ()))) for unit in units}
        return Listing(named, installed)

    async def look(self, names: Iterable[str], files: Mapping[str, str]) -> dict[str, Unit]:
        """Those of the named units that are loaded. Loads none, or the signal of that would have us look again."""
        wanted = wire.Selection(sorted(names))
        rows = await self._all("ListUnitsByPatterns", "(asas)", [], wanted.loose)
        units = await asyncio.gather(
            *(self._read(row, files, asks=row[3] != "inactive") for row in rows if row[0] in names)
        )
        return {unit.name: unit for unit in units}

    async def file_state(self, name: str) -> str:
        """UnitFileState from disk (the property of that name is cached until a daemon-reload), "" without a file."""
        try:
            (state,) = await self.manager("GetUnitFileState", "(s)", name)
        except BusError as err:
            if err.name in (CLOSED, NO_REPLY):
                raise
            return ""
        return str(state)

    def manager(
        self, method: str, signature: str = "()", *arguments: Any, timeout: float = PATIENCE
    ) -> asyncio.Future[Any]:
        """Call a method of systemd's Manager."""
        return self._bus.call(
            wire.NAME, wire.ROOT, wire.MANAGER, method, Variant(signature, arguments), timeout=timeout
        )

    async def _all(self, method: str, signature: str, *arguments: Any) -> list[Any]:
        (answer,) = await self.manager(method, signature, *arguments)
        return list(answer)

    async def _read(self, row: Any, files: Mapping[str, str], *, asks: bool) -> Unit:
        """A unit from a row of ListUnits; `asks`: with what the row does not hold, at the price of loading it."""
        name, description, load_state, active_state, sub_state, _following, path, job, *_ = row
        details = {}
        if asks:
            try:
                details = await self._details(path, active_state)
            except BusError as err:
                if err.name in (CLOSED, NO_REPLY):
                    raise
                log.debug("Unit not readable", unit=name, reason=err.message)
        state = files.get(name)
        return Unit(
            name,
            description,
            load_state,
            active_state,
            sub_state,
            file_state=state if state is not None else await self.file_state(name),
            job=job,
            **details,
        )

    async def _details(self, path: str, active_state: str) -> dict[str, Any]:
        def get(interface: str, name: str) -> asyncio.Future[Any]:
            arguments = Variant("(ss)", (interface, name))
            return self._bus.call(wire.NAME, path, wire.PROPERTIES, "Get", arguments, timeout=PATIENCE)

        questions = [
            get(wire.SERVICE, "MainPID"),
            get(wire.SERVICE, "NRestarts"),
            get(wire.SERVICE, "Result"),
            get(wire.UNIT, wire.since_property(active_state)),
        ]
        if active_state == "failed":
            questions += [
                get(wire.UNIT, "ActiveExitTimestampMonotonic"),
                get(wire.SERVICE, "ExecMainStartTimestampMonotonic"),
                get(wire.SERVICE, "ExecMainExitTimestampMonotonic"),
            ]
        main_pid, restarts, result, since, *ends = [answer[0] for answer in await asyncio.gather(*questions)]
        stopped = wire.was_stopped(result, *ends) if ends else False
        return {"main_pid": main_pid, "restarts": restarts, "result": result, "since": since, "stopped": stopped}

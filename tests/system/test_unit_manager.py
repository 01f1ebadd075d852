"""The UnitManager over a real, booted systemd: the same contract as over the fake."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from agent.adapters.systemd.units import SystemdUnits
from tests.contracts.unit_manager import UnitActionsContract, UnitTableContract
from tests.support.heads import Head, Heads
from tests.support.unit_specs import Spec

UNITS = "/etc/systemd/system"


class RealWorld:
    """World over a head, from outside: its bus is reached through its root directory, its operator is its root."""

    def __init__(self, head: Head) -> None:
        self._head = head
        self._installed: set[str] = set()

    def manager(self) -> SystemdUnits:
        return SystemdUnits(self._head.bus_address)

    async def install(self, unit: str, spec: Spec) -> None:
        self._installed.add(unit)
        self._head.write(f"{UNITS}/{unit}", spec.text())

    async def uninstall(self, unit: str) -> None:
        self._head.path(f"{UNITS}/{unit}").unlink()

    async def mask(self, unit: str) -> None:
        self._installed.add(unit)
        self._head.path(f"{UNITS}/{unit}").symlink_to("/dev/null")

    async def kill(self, unit: str) -> None:
        await self._run("systemctl", "kill", "--signal=KILL", "--kill-who=main", unit)

    async def systemctl(self, word: str, unit: str) -> None:
        await self._run("systemctl", word, unit)

    async def reload(self) -> None:
        await self._run("systemctl", "daemon-reload")

    async def reexec(self) -> None:
        await self._run("systemctl", "daemon-reexec")

    async def restart_bus(self) -> None:
        await self._run("systemctl", "restart", "dbus.service")

    async def clean(self) -> None:
        """Leave nothing of the test."""
        for pattern in ("clusterware-t-*", "foreign-t", "primary-t"):
            await self._run("systemctl", "kill", "--signal=KILL", f"{pattern}.service", check=False)
            await self._run("systemctl", "stop", f"{pattern}.service", check=False)
        for unit in self._installed:
            await self._run("systemctl", "disable", unit, check=False)
            self._head.path(f"{UNITS}/{unit}").unlink(missing_ok=True)
        await self.reload()
        await self._run("systemctl", "reset-failed")

    async def _run(self, *command: str, check: bool = True) -> None:
        await asyncio.to_thread(self._head.run, *command, check=check)


@pytest.fixture(scope="module")
def booted(heads: Heads) -> Iterator[Head]:
    """A head whose agent does not run."""
    head = heads.boot("units")
    yield head
    heads.shut_down(head)


@pytest.fixture
async def world(booted: Head) -> AsyncIterator[RealWorld]:
    """A systemd without any unit of a test."""
    world = RealWorld(booted)
    yield world
    await world.clean()


class TestUnitTable(UnitTableContract):
    pass


class TestUnitActions(UnitActionsContract):
    pass

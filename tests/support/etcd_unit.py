"""The unit of the agent's own etcd without systemd: a UnitManager that really runs what the unit would."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent.adapters.etcd.settings import BEGINS, DATABASE, LINK
from agent.errors import NotFound, TimedOut
from agent.hostfiles import ENGINE_UNIT
from agent.ports import UnitEvent, Verb


@dataclass
class EtcdProcess:
    """`UnitManager` for one unit, with its configuration at `settings`; Type=notify is kept to."""

    settings: Path
    process: asyncio.subprocess.Process | None = None
    installed: bool = True
    starts: int = 0
    _ready: asyncio.Event = field(default_factory=asyncio.Event)
    _listener: socket.socket | None = None

    def select(self, patterns: Sequence[str]) -> None:
        """There is one unit."""

    async def run(self, hear: Callable[[UnitEvent], None]) -> None:
        """Nobody follows it."""
        await asyncio.Event().wait()

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self.process is not None and self.process.returncode is None

    async def job(self, verb: Verb, unit: str, timeout: float) -> str:
        """Start or stop the process; a start that the unit has a condition against does nothing."""
        if unit != ENGINE_UNIT or not self.installed:
            raise NotFound(f"there is no unit {unit}")
        if verb is Verb.STOP:
            await self.end(signal.SIGTERM)
            return "done"
        if not self.running and self._conditions():
            await self._begin()
        return await self._wait(timeout) if self.running else "done"

    def _conditions(self) -> bool:
        """What the unit wants to find before it starts anything."""
        begins, data = self.settings.with_name(BEGINS), self.settings.with_name(LINK) / DATABASE
        return self.settings.exists() and (begins.exists() or data.exists())

    async def reset_failed(self, unit: str, timeout: float) -> None:
        """Nothing is remembered."""

    async def enable(self, unit: str, timeout: float) -> str:
        """It has no [Install] section."""
        return "static"

    async def disable(self, unit: str, timeout: float) -> str:
        """It has no [Install] section."""
        return "static"

    async def end(self, number: signal.Signals) -> None:
        """Send a signal and wait for the end."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)
            await self.process.wait()
            self.process = None
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    async def _begin(self) -> None:
        await self.end(signal.SIGKILL)
        self.starts += 1
        self._ready = ready = asyncio.Event()
        self._listener = listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        name = f"\0etcd-unit-{os.getpid()}-{id(self)}-{self.starts}"
        listener.bind(name)

        def heard() -> None:
            if b"READY=1" in listener.recv(4096):
                ready.set()

        asyncio.get_running_loop().add_reader(listener, heard)
        with self.settings.with_name("etcd.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *("setpriv", "--pdeathsig", "KILL", "/usr/bin/etcd", "--config-file", str(self.settings)),
                stdout=log,
                stderr=log,
                env={**os.environ, "NOTIFY_SOCKET": name.replace("\0", "@", 1)},
            )

    async def _wait(self, timeout: float) -> str:
        assert self.process is not None
        ready, ended = asyncio.ensure_future(self._ready.wait()), asyncio.ensure_future(self.process.wait())
        try:
            done, _ = await asyncio.wait([ready, ended], timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiting in (ready, ended):
                waiting.cancel()
            await asyncio.gather(ready, ended, return_exceptions=True)
        if not done:
            raise TimedOut(f"{ENGINE_UNIT} is not ready")
        return "done" if ready in done else "failed"

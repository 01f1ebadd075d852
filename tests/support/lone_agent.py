"""One whole agent, as it is composed, as a process of its own with nobody on D-Bus."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Agent:
    """A running agent and what it has said so far."""

    process: subprocess.Popen[bytes]
    place: Path
    port: int
    """Where it speaks TLS."""

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.place / "s"

    @property
    def log(self) -> str:
        """Its log."""
        return (self.place / "log").read_text()

    def descriptors(self) -> list[str]:
        """What it has open, as /proc names it."""
        found = []
        for link in (Path("/proc") / str(self.process.pid) / "fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                found.append(str(link.readlink()))
        return found

    def memory(self) -> int:
        """Its resident bytes."""
        return int((Path("/proc") / str(self.process.pid) / "statm").read_text().split()[1]) * os.sysconf(
            "SC_PAGE_SIZE"
        )


@contextlib.contextmanager
def lone_agent() -> Iterator[Agent]:
    """An agent with a store and a state directory of its own, and nobody on D-Bus."""
    place = Path(tempfile.mkdtemp(prefix="hostile-"))
    (place / "store").mkdir()
    (place / "state").mkdir(mode=0o700)
    port = _free_port()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(place / "key")], check=True)
    (place / "ini").write_text(
        f"[head]\nuid = {'a' * 32}\n[api]\nlisten = 127.0.0.1:{port}\nsocket = {place}/s\n"
        f"[auth]\nssh_key = {place}/key\n[files]\nroot = {place}/store\n[database]\npath = {place}/state/agent.db\n"
        f"[state]\ndirectory = {place}/state\n[log]\nlevel = info\nformat = console\n"
    )
    environment = {"PATH": os.environ["PATH"], "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={place}/nobody"}
    with (place / "log").open("wb") as log:
        command = [sys.executable, "-m", "agent", "--config", str(place / "ini")]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    made = Agent(process, place, port)
    try:
        _wait_until_it_answers(made)
        yield made
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        finally:
            process.kill()
            process.wait()
            shutil.rmtree(place)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _wait_until_it_answers(agent: Agent) -> None:
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        assert agent.process.poll() is None, agent.log
        with socket.socket(socket.AF_UNIX) as sock:
            if sock.connect_ex(str(agent.socket)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"the agent does not listen: {agent.log}")

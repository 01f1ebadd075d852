"""The real daemon as a process of its own, with a notify socket to hear it by and no D-Bus unless one is given."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.ssh import pair

ROOT = Path(__file__).parents[2]
UID = "0123456789abcdef0123456789abcdef"
PATIENCE = 30.0


@dataclass
class Daemon:
    """A running daemon; `unix` is its socket."""

    process: subprocess.Popen[str]
    notify: socket.socket
    unix: Path
    config: Path

    def heard(self) -> dict[str, str]:
        """The next message to the service manager that is not a sign of life, as a mapping."""
        while True:
            lines = self.notify.recv(4096).decode().splitlines()
            message = dict(line.split("=", 1) for line in lines)
            if "WATCHDOG" not in message:
                return message

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def ended(self) -> tuple[int, str]:
        """The exit status and all that was logged, once it has ended."""
        _, logged = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, logged


def free_port() -> int:
    """A TCP port on loopback that nobody uses at the moment."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def configure(directory: Path, extra: str = "") -> Path:
    """A head's directory with everything a daemon needs; the configuration file's path."""
    (directory / "store").mkdir(exist_ok=True)
    key = directory / "ssh_key"
    if not key.exists():
        pair("ed25519").write(key)
    path = directory / "head-agent.ini"
    path.write_text(
        f"[head]\nuid = {UID}\n[api]\nlisten = 127.0.0.1:{free_port()}\nsocket = {directory}/sock\ndrain = 0s\n"
        f"[auth]\nssh_key = {key}\n[files]\nroot = {directory}/store\n[database]\npath = {directory}/state/agent.db\n"
        f"[state]\ndirectory = {directory}/state\n{extra}"
    )
    return path


@contextlib.contextmanager
def started(config: Path, *, bus: str = "unix:path=/nonexistent", **environment: str) -> Iterator[Daemon]:
    """The daemon on this configuration; killed at the end if it still runs."""
    directory = config.parent
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        path = directory / "notify"
        path.unlink(missing_ok=True)
        notify.bind(str(path))
        notify.settimeout(PATIENCE)
        process = subprocess.Popen(
            [sys.executable, "-m", "agent", "--config", str(config)],
            cwd=ROOT,
            env={**os.environ, "NOTIFY_SOCKET": str(path), "DBUS_SYSTEM_BUS_ADDRESS": bus, **environment},
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield Daemon(process, notify, directory / "sock", config)
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()

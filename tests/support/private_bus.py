"""A message bus of the test's own: a real dbus-daemon on a socket in a directory."""

from __future__ import annotations

import subprocess
from pathlib import Path

_CONFIG = """\
<busconfig>
  <include>/usr/share/dbus-1/session.conf</include>
  <limit name="max_replies_per_connection">128</limit>
</busconfig>
"""


class PrivateBus:
    """A dbus-daemon that can be stopped and started again at the same address; it bears as much as the system's."""

    def __init__(self, directory: Path) -> None:
        self.address = f"unix:path={directory / 'bus'}"
        self._config = directory / "bus.conf"
        self._daemon: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start the daemon and wait until it listens."""
        self._config.write_text(_CONFIG)
        command = [
            "dbus-daemon",
            f"--config-file={self._config}",
            "--nofork",
            "--nopidfile",
            "--print-address",
            f"--address={self.address}",
        ]
        self._daemon = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._daemon.stdout is not None
        assert self._daemon.stdout.readline().startswith("unix:")

    def stop(self) -> None:
        """End the daemon; every connection is closed by that."""
        assert self._daemon is not None
        assert self._daemon.stdout is not None
        self._daemon.terminate()
        self._daemon.wait(10)
        self._daemon.stdout.close()
        self._daemon = None

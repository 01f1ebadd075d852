"""A person at a terminal: cw-headctl on a pseudo-terminal, what is on the screen, and what is typed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE = 20.0


@dataclass
class Session:
    """A command that runs on a terminal of its own."""

    process: subprocess.Popen[bytes]
    screen: int
    seen: str = ""

    def sees(self, text: str) -> str:
        """Wait until this is written; everything that was so far."""
        end = time.monotonic() + PATIENCE
        while text not in self.seen:
            assert time.monotonic() < end, f"{text!r} was never written: {self.seen!r}"
            assert self._read(), f"it ended without {text!r}: {self.seen!r}"
        return self.seen

    def types(self, text: str) -> None:
        """Type something."""
        os.write(self.screen, text.encode())

    def interrupts(self) -> None:
        """Press Ctrl-C."""
        self.types("\x03")

    def ended(self) -> int:
        """The exit status, minus the signal's number when one ended it; all that was written is in `seen`."""
        end = time.monotonic() + PATIENCE
        while self._read():
            assert time.monotonic() < end, f"it does not end: {self.seen!r}"
        return self.process.wait(PATIENCE)

    def _read(self) -> bool:
        ready, _, _ = select.select([self.screen], [], [], PATIENCE)
        if not ready:
            return self.process.poll() is None
        try:
            part = os.read(self.screen, 65536)
        except OSError:  # EIO: nobody has the other side open any more
            return False
        self.seen += part.decode()
        return bool(part)


@contextlib.contextmanager
def at_terminal(
    socket: Path, *words: str, columns: int = 200, environment: Mapping[str, str] | None = None
) -> Iterator[Session]:
    """cw-headctl at a terminal of so many columns; killed at the end of the block if it still runs."""
    screen, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    names = ("NO_COLOR", "TERM", "COLUMNS")
    plain = {name: value for name, value in os.environ.items() if name not in names}
    process = subprocess.Popen(
        [sys.executable, "-m", "agent.ctl", "--socket", str(socket), *words],
        cwd=ROOT,
        env={**plain, "TERM": "xterm", **(environment or {})},
        stdin=side,
        stdout=side,
        stderr=side,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(side)
    try:
        yield Session(process, screen)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait()
        os.close(screen)

"""The entry of `make run`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType

from tests.support.heads import Heads
from tests.system.demo import here, throwaway

BOLD, PLAIN = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")


class Stopped(Exception):
    """Somebody wants this to end."""


_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _stop(_number: int, _frame: FrameType | None) -> None:
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)  # nothing may interrupt the cleaning up
    raise Stopped


def main() -> int:
    """Show the agent until Ctrl-C; returns the exit status."""
    if os.geteuid() != 0:
        print(
            "make run: cannot run the agent: this needs root, for systemd and for heads: sudo make run", file=sys.stderr
        )
        return 1
    for number in _ENDING:
        signal.signal(number, _stop)
    try:
        if Path("/run/systemd/system").is_dir():
            with here.agent() as told:
                _show(told)
        else:
            with Heads() as heads, throwaway.agent(heads) as told:
                _show(told)
    except Stopped:
        print("\nStopped; nothing is left behind.")
    except (RuntimeError, OSError) as err:
        print(f"make run: {err}", file=sys.stderr)
        return 1
    return 0


def _show(told: list[tuple[str, str]]) -> None:
    print(f"\n{BOLD}The agent is at work. Try, in another terminal, in this directory:{PLAIN}\n")
    for meaning, command in told:
        print(f"  # {meaning}\n  {command}\n")
    print(f"{BOLD}Ctrl-C ends it and leaves nothing behind.{PLAIN}", flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    sys.exit(main())

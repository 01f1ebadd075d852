"""The entry of cw-headctl: what was typed, and failures as one line with an exit status."""

from __future__ import annotations

import os
import sys

from agent.ctl.outcome import Failure
from agent.ctl.parser import parse
from agent.ctl.run import run
from agent.ctl.terminal import say


def main(argv: list[str] | None = None) -> int:
    """Do one command; returns the exit status."""
    arguments = parse(sys.argv[1:] if argv is None else argv)
    try:
        status = run(arguments)
        sys.stdout.flush()
        return status
    except Failure as failure:
        say(f"cw-headctl: {failure}")
        return failure.status


def _end_by(name: str) -> None:
    """End as a process does that never heard of the signal, which is what shells and pipes go by."""
    import signal  # only here, as it takes time to load

    number = signal.Signals[name]
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # a terminal may not have every letter
    try:
        sys.exit(main())
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # else the interpreter complains as it ends
        _end_by("SIGPIPE")
    except KeyboardInterrupt:
        print(file=sys.stderr)
        _end_by("SIGINT")

"""The entry of cw-headctl: what was typed, and failures as one line with an exit status."""

from __future__ import annotations

import errno
import os
import sys

from agent.ctl.outcome import Exit, Failure
from agent.ctl.parser import parse
from agent.ctl.run import run
from agent.ctl.terminal import say

_UNWRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What writing fails with where the answer has no room."""


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


def _open_closed_streams() -> None:
    """Have each standard stream lead somewhere: of one that whoever started this has closed, Python makes None."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115  # for as long as this lasts


def _give_up_output() -> None:
    """Leave what was not written, of which the interpreter would complain as it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _end_by(name: str) -> None:
    """End as a process does that never heard of the signal, which is what shells and pipes go by."""
    import signal  # only here, as it takes time to load

    number = signal.Signals[name]
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


if __name__ == "__main__":
    _open_closed_streams()
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # a terminal may not have every letter
    try:
        sys.exit(main())
    except BrokenPipeError:
        _give_up_output()
        _end_by("SIGPIPE")
    except KeyboardInterrupt:
        print(file=sys.stderr)
        _end_by("SIGINT")
    except OSError as err:
        if err.errno not in _UNWRITTEN:
            raise
        _give_up_output()
        why = f"{err.strerror}: make room, or write elsewhere"
        say(f"cw-headctl: cannot write the answer: {why}; what was asked for may be done all the same")
        sys.exit(Exit.FAILED)

"""What a process does before it loads anything: it waits where starts are too many, and has nothing dump its memory.

systemd before 254 starts again after a fixed time only (RestartSteps= came with it), and a bug may well be such that
the agent ends while it loads. So this needs nothing but the standard library.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from agent import journald

FREE = 5
"""Starts within `WINDOW` that wait for nothing."""
WINDOW = 300.0
"""Seconds for which a start is remembered."""
LONGEST = 30.0
"""Seconds that a start waits at most; well below systemd's TimeoutStartSec, which is 90."""
_NAME = "starts"
_HELD_BACK = "Start held back"
_PR_SET_DUMPABLE = 4
"""prctl(2)"""


def pause(starts: Sequence[float], now: float) -> float:
    """Seconds that a start waits: two after `FREE` others of late, each time twice as long."""
    recent = sum(0 <= now - start < WINDOW for start in starts)
    return 0.0 if recent < FREE else min(2.0 ** (recent - FREE + 1), LONGEST)


def hold_back() -> None:
    """Wait where the agent was started often of late; what cannot be read or written is as if it had not been."""
    if (place := _place()) is None:
        return
    with contextlib.suppress(OSError, ValueError):
        starts = [float(line) for line in place.read_text("ascii").split()] if place.exists() else []
        now = time.monotonic()
        place.write_text("\n".join(map(str, [*starts[-20:], now])), "ascii")
        if seconds := pause(starts, now):
            _tell(len(starts), seconds)
            time.sleep(seconds)


def ended_in_order() -> None:
    """Forget the starts before: this one was no failure."""
    if (place := _place()) is not None:
        with contextlib.suppress(OSError):
            place.unlink()


def keep_memory_private() -> None:
    """Have the kernel write no core dump, to whatever it is piped, and let no other process of this user look inside.

    A limit of 0 does for files alone: core(5), "Piping core dumps to a program".
    """
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def _tell(starts: int, seconds: float) -> None:
    facts = {"starts": starts, "seconds": f"{seconds:g}", "todo": "the lines before tell why it ended"}
    line = journald.line(_HELD_BACK, "warning", facts, "clusterware-head-agent")
    if journald.is_read():
        journald.send(line)
    else:
        print(dict(line)["MESSAGE"], file=sys.stderr)


def _place() -> Path | None:
    directory = os.environ.get("RUNTIME_DIRECTORY")
    return Path(directory) / _NAME if directory else None

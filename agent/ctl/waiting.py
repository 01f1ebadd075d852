"""What a person at a terminal sees while something takes long; nothing is written anywhere else."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from agent.ctl.terminal import is_terminal, plain, width

_PATIENCE = 0.7
"""Seconds before anything is shown: most answers come sooner."""
_TURN = 0.2
_MARKS = "|/-\\"
_BAR = 30


class Done(NamedTuple):
    """How much is done, of how much (0 where nobody knows), and at which step."""

    done: int
    total: int
    step: str = ""


Progress = Callable[[], Done | None]
"""How far it has come; None while nobody knows."""

_shown: list[str] = []
"""What is shown now: the terminal has one line for it, whoever else waits meanwhile."""


@contextlib.contextmanager
def waiting(doing: str, progress: Progress | None = None) -> Iterator[None]:
    """Show that it goes on: a bar where `progress` tells how much of how much is done, else the seconds."""
    if _shown or not is_terminal(sys.stderr):
        yield
        return
    import threading  # only here, as it takes time to load

    ended = threading.Event()
    thread = threading.Thread(target=_draw, args=(ended, doing, progress), daemon=True)
    _shown.append(doing)
    thread.start()
    try:
        yield
    finally:
        _shown.clear()
        ended.set()
        thread.join()


def line(doing: str, seconds: float, done: Done | None, turn: int, columns: int) -> str:
    """What stands on the terminal's line meanwhile."""
    told = f"{doing}: {done.step}" if done and done.step else doing
    if done is None or done.total <= 0:
        amount = f"{done.done}, " if done and done.done else ""
        told = f"{_MARKS[turn % len(_MARKS)]} {told} ... {amount}{seconds:.0f} s"
    else:
        share = min(1.0, done.done / done.total)
        length = min(_BAR, columns // 3)
        bar = "#" * round(share * length)
        told = f"[{bar:<{length}}] {share:4.0%} {told}, {seconds:.0f} s"
    return plain(told)[: max(columns - 1, 1)]


def _draw(ended: object, doing: str, progress: Progress | None) -> None:
    begun, turn, shown = time.monotonic(), 0, False
    wait = ended.wait  # type: ignore[attr-defined]  # an Event, whose module is loaded only when needed
    while not wait(_TURN if shown else _PATIENCE):
        seconds = time.monotonic() - begun
        told = line(doing, seconds, progress() if progress else None, turn, width(sys.stderr) or 80)
        print(f"\r\x1b[K{told}", end="", file=sys.stderr, flush=True)
        turn, shown = turn + 1, True
    if shown:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)

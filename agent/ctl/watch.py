"""Showing a command's outcome again and again."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable

from agent.ctl.outcome import Exit, Failure, Outcome
from agent.ctl.show import json_text, text
from agent.ctl.terminal import is_coloured, is_terminal, plain, say, width

_HOME = "\x1b[H"
_REST_OF_LINE = "\x1b[K"
_REST_OF_SCREEN = "\x1b[J"
_ENDS_IT = (Exit.USAGE, Exit.DENIED)
"""Failures that trying again does not mend; any other may pass, as while the agent restarts."""


def watch(do: Callable[[], Outcome], every: float, *, as_json: bool) -> Exit:
    """Show what `do` gives every so many seconds until Ctrl-C; returns the status of the last time."""
    status = Exit.OK
    redraws = is_terminal(sys.stdout) and not as_json
    try:
        while True:
            begun = time.monotonic()
            try:
                outcome = do()
                status = outcome.exit
                lines = [json_text(outcome.data)] if as_json else _lines(outcome)
            except Failure as failure:
                if failure.status in _ENDS_IT:
                    raise
                status, lines = failure.status, []
                if redraws:
                    lines = [f"cw-headctl: {plain(str(failure))}"]
                else:
                    say(f"cw-headctl: {failure}")
            _draw(lines, every) if redraws else print(*lines, sep="\n", end="\n" if lines else "", flush=True)
            time.sleep(max(0.0, begun + every - time.monotonic()))
    except KeyboardInterrupt:
        if redraws:
            print()
        return status


def _lines(outcome: Outcome) -> list[str]:
    lines = text(outcome, width(sys.stdout), coloured=is_coloured(sys.stdout))
    if is_terminal(sys.stdout):
        return lines
    return [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), *lines, ""]


def _draw(lines: list[str], every: float) -> None:
    """Write over what stands there, so that nothing flickers; what does not fit the screen is only counted."""
    room = shutil.get_terminal_size().lines - 3
    if len(lines) > room > 0:
        lines = [*lines[: room - 1], f"... and {len(lines) - room + 1} more lines"]
    head = f"Every {every:g} s, Ctrl-C ends it. {time.strftime('%H:%M:%S')}"
    shown = "".join(f"{line}{_REST_OF_LINE}\n" for line in [head, "", *lines])
    print(f"{_HOME}{shown}{_REST_OF_SCREEN}", end="", flush=True)

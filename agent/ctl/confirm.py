"""Having what is about to happen read and agreed to."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from agent.ctl.outcome import Exit, Failure, Outcome, Plan
from agent.ctl.show import text
from agent.ctl.terminal import is_terminal, say, width

_MOST = 100
"""Rows of a plan that are told before somebody agrees: the sum of them all has to be seen, too."""


def confirm(plans: Sequence[tuple[str | None, Plan]], arguments: argparse.Namespace) -> None:
    """Tell the plans, each with its head where there are several, and have a person agree; raises Failure otherwise.

    All of it goes to standard error: standard output is for what comes of it.
    """
    for head, plan in plans:
        more = len(plan.rows) - _MOST
        lines = [f"... and {more} more: --dry-run lists them all", *plan.lines] if more > 0 else plan.lines
        shown = Outcome(plan.data, plan.columns, plan.rows[:_MOST], lines=lines)
        for line in text(shown, width(sys.stderr), coloured=False):
            say(f"{head}: {line}" if head else line)
    if arguments.yes:
        return
    doing, word = plans[0][1].doing, plans[0][1].word
    if not is_terminal(sys.stdin):
        if all(plan.by_program for _, plan in plans):
            return
        raise Failure(f"cannot {doing}: nobody is there to ask: say --yes if it is meant", Exit.USAGE)
    print(f"Type {word} to go on: " if word else "Go on? [y/N] ", end="", file=sys.stderr, flush=True)
    said = sys.stdin.readline().strip()
    if said != word if word else said.lower() not in ("y", "yes"):
        raise Failure("nothing was changed")

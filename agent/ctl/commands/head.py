"""The rows about this head as a whole: how it is, what is wrong, what its agent has said."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError

from agent.ctl.command import CONFIG, Argument, Command, Reach

_LEVELS = "emerg|alert|crit|err|warning|notice|info|debug|[0-7]"


def _lines(text: str) -> str:
    if not (text == "all" or (text.isascii() and text.isdigit())):
        raise ArgumentTypeError(f"must be a number or all, and not {text[:40]}")
    return text


def _level(text: str) -> str:
    if not re.fullmatch(rf"({_LEVELS})(\.\.({_LEVELS}))?", text):
        raise ArgumentTypeError(f"must be one of {_LEVELS.replace('|', ' ')[:-5]}0 to 7, and not {text[:40]}")
    return text


ROWS: tuple[Command, ...] = (
    Command(
        "status",
        "status:status",
        "Show this head and the cluster on one screen, the worst first",
        Reach.HEADS,
        degraded="anything is not well",
    ),
    Command(
        "doctor",
        "doctor:examine",
        "Say what is wrong and what to do, also when no agent answers",
        Reach.HEADS,
        arguments=(CONFIG,),
        degraded="anything is not well",
    ),
    Command(
        "logs",
        "logs:logs",
        "Show what the agent of this head has said, the newest lines",
        Reach.HEADS,
        arguments=(
            Argument("--follow", "go on showing new lines", short="-f"),
            Argument(
                "--lines", "how many, or all (default: 100, and all with --since)", "N", short="-n", convert=_lines
            ),
            Argument("--since", "from when on, such as -1h, today or 2026-11-24", "TIME"),
            Argument("--unit", "only what is about that service", "SERVICE", complete="services"),
            Argument("--request", "only the lines of that request, by its X-Request-Id", "ID"),
            Argument("--peer", "only what that head asked for; also an address, or local", "UID", complete="heads"),
            Argument("--head-uid", "only what is about that head", "UID", complete="heads"),
            Argument("--audit", "only who changed what, and who was denied"),
            Argument(
                "--priority", "only lines of this level and worse, such as warning", "LEVEL", short="-p", convert=_level
            ),
            Argument("--explain", "with each line's entry of the catalog: what happened, what to do", short="-x"),
            Argument("--engine", "with the lines of the etcd that the agent runs"),
        ),
        streams=True,
    ),
    Command(
        "complete",
        "completion:words",
        "List what a shell can complete",
        Reach.HEADS,
        arguments=(Argument("kind", "heads, services, unused, trash or backups", "KIND"),),
        hidden=True,
    ),
)

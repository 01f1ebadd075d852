"""Doing a command: on this head, on another, or on all of them; once, or again and again."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from functools import partial

from agent.ctl.client import Agent
from agent.ctl.command import Command, Reach
from agent.ctl.one import answered, function, on_one
from agent.ctl.outcome import Exit, Failure, Outcome
from agent.ctl.show import show


def run(arguments: argparse.Namespace) -> int:
    """Do what was typed and show what came of it; returns the exit status. Raises Failure."""
    command: Command = arguments.command
    _check(arguments, command)
    permission = "HeadsRead,HeadsWrite" if command.changes else "HeadsRead"  # what would change is read first
    here = Agent(arguments.socket, token=_token(arguments), permission=permission, timeout=arguments.timeout)
    if arguments.all_heads:
        from agent.ctl import everywhere

        do: Callable[[], Outcome] = everywhere.prepare(arguments, here)
    else:
        arguments.agent = _chosen(arguments, command, here)
        if command.streams:
            return int(answered(function(command.run), arguments))
        do = partial(on_one, arguments)
    if arguments.watch is not None:
        from agent.ctl import watch

        return watch.watch(do, arguments.watch, as_json=arguments.json)
    outcome = do()
    show(outcome, as_json=arguments.json)
    return outcome.exit


def _check(arguments: argparse.Namespace, command: Command) -> None:
    """Raises Failure for options that do not go with the command or with each other, and for what is root's alone."""
    if command.root and os.geteuid() != 0:
        raise Failure(f"cannot do `{command.path}`: it is for root: use sudo", Exit.DENIED)
    if arguments.head and arguments.all_heads:
        raise Failure("--head and --all-heads do not go together: leave one out", Exit.USAGE)
    if arguments.watch is not None and (command.changes or command.streams):
        why = "it shows changes by itself" if command.streams else "it would do it again and again"
        raise Failure(f"--watch does not go with `{command.path}`: {why}", Exit.USAGE)
    if arguments.all_heads and (command.reach in (Reach.HERE, Reach.NONE) or command.streams or command.alone):
        where = "one head" if command.alone else "each head"
        raise Failure(f"--all-heads does not go with `{command.path}`: run it on {where}", Exit.USAGE)
    if arguments.head and command.reach is Reach.NONE:
        raise Failure(f"--head does not go with `{command.path}`: run it on that head", Exit.USAGE)


def _chosen(arguments: argparse.Namespace, command: Command, here: Agent) -> Agent:
    """The agent that --head means."""
    if not arguments.head:
        return here
    from agent.ctl import choice

    uid = choice.head(here, arguments.head)
    if command.reach is Reach.HERE and uid != choice.own(here):
        raise Failure(
            f"cannot do `{command.path}` on head {uid} from here: only that head itself does it: log in there",
            Exit.USAGE,
        )
    return here._replace(head=uid)


def _token(arguments: argparse.Namespace) -> str | None:
    """The token in --token-file; None without one. Raises Failure."""
    path = arguments.token_file
    if path is None:
        return None
    try:
        if path == "-":
            text = sys.stdin.read()
        else:
            with open(path, encoding="ascii") as file:
                text = file.read()
    except (OSError, UnicodeDecodeError) as err:
        why = getattr(err, "strerror", None) or "it is not text"
        raise Failure(f"cannot read the token from {path}: {why}: name a file with a token alone", Exit.USAGE) from None
    if not text.strip():
        raise Failure(f"cannot read the token from {path}: it is empty: did what makes the token fail?", Exit.USAGE)
    return text.strip()

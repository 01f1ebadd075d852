"""A command by one agent: what it would do, the agreement to that, and what came of it."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from typing import Any, TypeVar

from agent.ctl.command import Command
from agent.ctl.confirm import confirm
from agent.ctl.outcome import Failure, Outcome, Plan

T = TypeVar("T")


def on_one(arguments: argparse.Namespace) -> Outcome:
    """Do the command by one agent, once whatever it would change was agreed to. Raises Failure."""
    command: Command = arguments.command
    plan = answered(planned, arguments)
    if isinstance(plan, Outcome):
        return plan
    if plan is not None:
        if vars(arguments).get("dry_run"):
            return Outcome(plan.data, plan.columns, plan.rows, lines=plan.lines)
        confirm([(None, plan)], arguments)
        arguments.plan = plan.data
    outcome: Outcome = answered(function(command.run), arguments)
    return outcome


def answered(do: Callable[[argparse.Namespace], T], arguments: argparse.Namespace) -> T:
    """What it does; raises Failure also where another head's answer is not what this command knows.

    This head's own agent came with this command: there that is a bug, and the traceback shows it.
    """
    try:
        return do(arguments)
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        if not (uid := arguments.agent.head):
            raise
        raise Failure(
            f"cannot do `{arguments.command.path}`: what the head {uid} answers cannot be understood: "
            f"its agent may have another version: see `cw-headctl heads show {uid}`"
        ) from None


def planned(arguments: argparse.Namespace) -> Plan | Outcome | None:
    """What the command would do; an Outcome where there is nothing to do; None where nobody has to agree, as to
    what the agent will refuse."""
    command: Command = arguments.command
    plan: Plan | Outcome | None = function(command.plan)(arguments) if command.plan else None
    return plan


def function(name: str) -> Callable[[argparse.Namespace], Any]:
    """The function that a row of the table names."""
    module, _, attribute = name.partition(":")
    found: Callable[[argparse.Namespace], Any] = getattr(importlib.import_module(f"agent.ctl.{module}"), attribute)
    return found

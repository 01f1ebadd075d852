"""A command on all heads: each asked through this one's agent, and what each answered, failures included."""

from __future__ import annotations

import argparse
import copy
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from agent.ctl.choice import label, own
from agent.ctl.client import Agent, ask, token_wanted
from agent.ctl.command import Command, Reach
from agent.ctl.confirm import confirm
from agent.ctl.one import answered, function, planned
from agent.ctl.outcome import Exit, Failure, Outcome, Plan
from agent.ctl.show import count
from agent.ctl.terminal import say

_AT_A_TIME = 8
"""Heads that are asked side by side what changes nothing; what changes anything goes one head after the other."""

Answers = dict[str, Outcome | Failure]
"""By the heads' uids."""


def prepare(arguments: argparse.Namespace, here: Agent) -> Callable[[], Outcome]:
    """What does the command on all heads once; raises Failure where it cannot be done on others at all."""
    command: Command = arguments.command
    if command.reach is Reach.TOKEN and here.token is None:
        raise Failure(f"cannot do `{command.path}` on all heads: {token_wanted(here.permission)}", Exit.DENIED)
    return lambda: _once(arguments, command, here)


def _once(arguments: argparse.Namespace, command: Command, here: Agent) -> Outcome:
    heads = ask(here, "GET", "/heads", doing="list the heads").data
    self_uid = own(here)
    each = {uid: _for(arguments, here._replace(head=None if uid == self_uid else uid)) for uid in sorted(heads)}
    names = {uid: label(uid, heads) for uid in heads}
    plans = _ask_all(each, planned, 1 if command.changes else _AT_A_TIME) if command.plan else {}
    answers: Answers = {uid: told for uid, told in plans.items() if isinstance(told, (Outcome, Failure))}
    agreed = {uid: plan for uid, plan in plans.items() if isinstance(plan, Plan)}
    if agreed and vars(arguments).get("dry_run"):
        answers |= {uid: Outcome(p.data, p.columns, p.rows, lines=p.lines) for uid, p in agreed.items()}
    else:
        _agree(arguments, command, {names[uid]: plan for uid, plan in agreed.items()}, list(names.values()))
        for uid, plan in agreed.items():
            each[uid].plan = plan.data
        left = {uid: each[uid] for uid in each if uid not in answers}
        answers |= _ask_all(left, function(command.run), 1 if command.changes else _AT_A_TIME)
    return merged({uid: answers[uid] for uid in each}, names)


def _for(arguments: argparse.Namespace, agent: Agent) -> argparse.Namespace:
    one = copy.copy(arguments)
    one.agent = agent
    return one


def _agree(arguments: argparse.Namespace, command: Command, plans: Mapping[str, Plan], names: list[str]) -> None:
    """What changes anything on all heads is always agreed to, even what needs no agreement on one."""
    if plans:
        confirm(list(plans.items()), arguments)
    elif command.changes and not command.plan:
        lines = [f"`{command.path}` on {count(len(names), 'head')}, one after the other: {', '.join(sorted(names))}"]
        confirm([(None, Plan(f"do `{command.path}` on all heads", None, lines))], arguments)


def _ask_all(
    each: Mapping[str, argparse.Namespace], do: Callable[[argparse.Namespace], Any], at_a_time: int
) -> dict[str, Any]:
    """What each came to, its Failure included. Whoever waits no longer (Ctrl-C) leaves the others behind at once."""
    left = deque(each.items())
    told: dict[str, Any] = {}

    def ask_on() -> None:
        while left:
            try:
                uid, arguments = left.popleft()
            except IndexError:  # another thread was faster
                return
            told[uid] = _come_to(do, arguments)

    if at_a_time == 1:
        ask_on()
    else:
        # No pool of concurrent.futures: it would hold the command up until the slowest has answered.
        threads = [threading.Thread(target=ask_on, daemon=True) for _ in range(min(at_a_time, len(each)))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for outcome in told.values():
        if isinstance(outcome, Exception) and not isinstance(outcome, Failure):
            raise outcome
    return {uid: told[uid] for uid in each}


def _come_to(do: Callable[[argparse.Namespace], Any], arguments: argparse.Namespace) -> Any:
    """What it does, or what it raises: the thread that asks is not the one that tells."""
    try:
        return answered(do, arguments)
    except Exception as err:  # noqa: BLE001  # raised again by whoever waits for the thread
        return err


def merged(answers: Answers, names: Mapping[str, str]) -> Outcome:
    """All heads' answers as one, each row with its head in front; failures are told at once, a line each."""
    data: dict[str, Any] = {}
    columns: tuple[str, ...] = ()
    rows: list[tuple[Any, ...]] = []
    lines: list[str] = []
    before: list[str] = []
    for uid, told in answers.items():
        if isinstance(told, Failure):
            data[uid] = {"ok": False, "error": str(told)}
            say(f"cw-headctl: {names[uid]}: {told}")
            continue
        data[uid] = {"ok": True, "data": told.data}
        columns = columns or ("head", *told.columns)
        rows += [(names[uid], *row) for row in told.rows]
        lines += [f"{names[uid]}: {line}" for line in ([told.empty] if told.empty and not told.rows else [])]
        lines += [f"{names[uid]}: {line}" for line in told.lines if line]
        before += [f"{names[uid]}: {line}" for line in told.before if line]
    return Outcome(data, columns, rows, lines=lines, before=before, exit=_status(answers.values()))


def _status(answers: Iterable[Outcome | Failure]) -> Exit:
    """What all came to where they came to the same; degraded where some did and some did not."""
    told = [answer.status if isinstance(answer, Failure) else answer.exit for answer in answers]
    failed = [status for status in told if status not in (Exit.OK, Exit.DEGRADED)]
    if failed and len(failed) == len(told):
        return failed[0] if len(set(failed)) == 1 else Exit.FAILED
    return Exit.DEGRADED if any(told) else Exit.OK

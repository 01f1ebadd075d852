"""The wall clocks of the heads against each other. Pure.

Nothing that decides who is down rests on them; tokens, certificates and what people read do.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

from agent.diagnosis.finding import Finding, days, failed, ok, warning

CHECK = "clock"
NOTICED = 5.0
"""Seconds of difference that are worth telling: the HTTP date that it is read from tells whole seconds."""
HARMFUL = 60.0
"""Seconds at which tokens of one head are refused by another, which is the leeway they are given."""

_TODO = "set it right there: `timedatectl`, `chronyc tracking`"


def clocks(self_uid: str, ahead: Mapping[str, float]) -> list[Finding]:
    """Which clocks are off; `ahead`: by how many seconds each other head's is ahead of this one's.

    The middle one of all counts as right. Of two heads nobody can tell which one is wrong.
    """
    if not ahead:
        return [ok(CHECK, "this head", "there is no other clock to compare it with")]
    if len(ahead) == 1:
        ((uid, by),) = ahead.items()
        if abs(by) < NOTICED:
            return [ok(CHECK, "all heads", "the clocks of both heads agree")]
        detail = f"its clock is {_off(by)} that of this head; of two it cannot be told which one is wrong"
        return [_bad(uid, detail, by, _TODO.replace("there", "there or here"))]
    all_clocks = {self_uid: 0.0, **ahead}
    middle = median(all_clocks.values())
    found = []
    for uid, by in sorted(all_clocks.items()):
        if abs(by - middle) >= NOTICED:
            subject = "this head" if uid == self_uid else uid
            todo = _TODO.replace("there", "here") if uid == self_uid else _TODO
            found.append(_bad(subject, f"its clock is {_off(by - middle)} the other heads'", by - middle, todo))
    return found or [ok(CHECK, "all heads", f"the clocks of all {len(all_clocks)} heads agree")]


def _bad(subject: str, detail: str, by: float, todo: str) -> Finding:
    if abs(by) >= HARMFUL:
        return failed(CHECK, subject, f"{detail}: tokens and certificates may be refused", todo)
    return warning(CHECK, subject, detail, todo)


def _off(by: float) -> str:
    size = abs(by) if abs(by) < HARMFUL else round(abs(by) / 60) * 60  # a day that lacks a second is one
    return f"{days(size)} {'ahead of' if by > 0 else 'behind'}"


def ahead_by(date: float, asked: float, answered: float) -> float:
    """How far another clock is ahead, in seconds: its whole second `date` was told between two moments of this one."""
    return date + 0.5 - (asked + answered) / 2

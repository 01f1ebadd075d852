"""When a head may be removed, and when not: the guards, pure."""

from __future__ import annotations

from typing import Any, NamedTuple

from agent.errors import Conflict, Unavailable
from agent.heads.liveness import Condition, Outlook, Standing, State

RECOVER = "cw-headctl database recover"
STILL_OPENS = (
    "the certificate of a removed head still opens the etcd of the others until the cluster's CA is exchanged: if that "
    "head was compromised, run `cw-headctl ca rotate` now"
)
"""What whoever removes a head from a cluster with etcd should know: etcd knows CAs, and no heads."""


class Eviction(NamedTuple):
    """What removing the heads that are down did, or would do."""

    removed: list[dict[str, Any]]
    kept: list[dict[str, Any]]


class Limits(NamedTuple):
    """Seconds: how long a head that stopped in order is left alone; how fresh a beat disproves that a head is down."""

    evict_after: float
    suspect: float


def check_quorum(age: float | None) -> None:
    """Raises Unavailable while the shared database cannot be written; `age` is its staleness in seconds."""
    if age is not None:
        raise Unavailable(
            f"cannot remove heads: the database has had no quorum for {age:.0f} s, so nothing can be written and "
            "nothing was changed. It goes on by itself when enough of the other heads come back; if they never will, "
            f"have this head go on alone with `{RECOVER}`",
            code="no-quorum",
        )


def check_standing(standing: Standing) -> None:
    """Raises Conflict in the minority: what looks like the end of others may be this head's own cut."""
    if standing is Standing.MINORITY:
        raise Conflict(
            "cannot remove heads: this head does not hear the larger part of the cluster, so it may itself be the one "
            "that is cut off. Ask a head of that part or, for a head that you know to be gone for good, use "
            "DELETE /head/<uid>?force=1",
            code="minority",
        )


def reason_to_keep(uid: str, outlook: Outlook, limits: Limits) -> str | None:
    """Why DELETE /heads/down leaves a head alone; None for one that it removes."""
    condition = outlook.conditions.get(uid, Condition(State.UNKNOWN))
    if condition.state is not State.DOWN:
        return f"its state is {condition.state}, and only a head that is down is removed"
    stopped = outlook.stopped.get(uid)
    if stopped is not None:
        if stopped < limits.evict_after:
            return (
                f"it stopped in order {stopped:.0f} s ago, and such a head has {limits.evict_after:.0f} s to come back "
                "(heads.evict_after)"
            )
        return None
    ages = condition.heard_by.values()
    if ages and min(ages) < limits.suspect:
        return f"it was heard {min(ages):.1f} s ago, so it is coming back"
    return None

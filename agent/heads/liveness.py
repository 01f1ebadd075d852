"""What is known of who is up: states, and whether this head may judge. Pure; times are arguments."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct

from agent.heads.members import Members


class State(StrEnum):
    """What can be said of a head."""

    UP = "up"
    SUSPECT = "suspect"
    DOWN = "down"
    UNKNOWN = "unknown"


class Standing(StrEnum):
    """Whether this head may judge the others and act on it."""

    ALONE = "alone"
    MAJORITY = "majority"
    MINORITY = "minority"


class Condition(Struct, frozen=True):
    """One head's state; times are RFC 3339 UTC, null where nothing was ever heard."""

    state: State
    last_seen: str | None = None
    since: str | None = None
    """When it came to be in this state, as far as this head knows."""
    heard_by: Mapping[str, float] = {}
    """How many seconds ago each head, this one among them, heard it itself."""


class Outlook(NamedTuple):
    """One head's view of all heads at one moment."""

    standing: Standing
    verdict: str
    """`local`: this head's own judgement; `agreed`: the cluster's."""
    conditions: Mapping[str, Condition]
    stopped: Mapping[str, float] = {}
    """For how many seconds, as far as this head knows, those are down that said that they stop."""


Watch = Callable[[Members, datetime], Outlook]
"""Gives the outlook on the members at a moment: what a detector of dead heads implements."""


def standing(members: Collection[str], heard: Collection[str], self_uid: str) -> Standing:
    """Whether `self_uid` may judge, having heard these of the other members.

    Of two heads each may judge the other: there is no majority to lose to. Of more, half of them is enough only
    with the lowest uid among it, so that no two halves both act.
    """
    if len(members) <= 1:
        return Standing.ALONE
    if len(members) == 2:
        return Standing.MAJORITY
    present = {self_uid, *heard} & set(members)
    if 2 * len(present) > len(members) or (2 * len(present) == len(members) and min(members) in present):
        return Standing.MAJORITY
    return Standing.MINORITY

"""Whether a head is up, suspect, down or unknown: the rule, without clock or state. All times are monotonic seconds."""

from __future__ import annotations

from typing import NamedTuple

from agent.heads.liveness import State

BEATS_TO_BE_UP = 3
"""So many beats in a row make a head that was silent believed again."""
STEADY = 6.0
"""For so many timeouts a flapping head has to beat before it is believed again."""


class Patience(NamedTuple):
    """How long what may take, in seconds: the section [heartbeat] of the configuration."""

    interval: float
    suspect: float
    timeout: float


class Evidence(NamedTuple):
    """What is known of one head."""

    state: State
    """What was said of it last; UNKNOWN at first."""
    heard: float | None
    """When anybody last heard it; None if nobody ever did."""
    row: int = 0
    """How many beats came in a row since it was last found silent."""
    stopped: bool = False
    """Its last word was that it stops."""
    flapping: bool = False
    """It was found down again and again although it lived."""
    watched: float = float("-inf")
    """Since when this head has waited for its beats."""


class Health(NamedTuple):
    """What is known of this head itself, the observer."""

    entitled: bool = True
    """Whether it may judge: its standing is not `minority`."""
    attentive: float = float("-inf")
    """Since when it has listened without a gap and was entitled to judge; before that, silence proves nothing."""
    excused: float = float("-inf")
    """When its last short gap ended: that much less old is all that it heard before."""
    many: bool = False
    """Half of its peers, or more, fell silent together: more likely a fault of the network than of them all."""


def is_silent(of: Evidence, now: float, own: Health, patience: Patience) -> bool:
    """Whether a head is not being heard at present; the excuse is for those that were before the gap."""
    if of.heard is None:
        return True
    heard = max(of.heard, own.excused) if of.state is State.UP else of.heard
    return now - heard >= patience.suspect


def verdict(of: Evidence, now: float, own: Health, patience: Patience) -> State:
    """What to say of a head now.

    Silence makes it suspect, then down: later where the fault may be elsewhere, never in the minority. Beats lead
    back: one is enough after UNKNOWN, which blames nobody.
    """
    if of.stopped:
        return _stopped(of, now, own, patience)
    if is_silent(of, now, own, patience):
        return _silent(of, now, own, patience)
    if of.state is State.UP or not of.row:  # without a new beat, no better than it was
        return of.state if own.entitled or of.state is not State.DOWN else State.UNKNOWN
    if of.state is State.UNKNOWN or of.row >= _needed(of, patience):
        return State.UP
    return State.SUSPECT


def _stopped(of: Evidence, now: float, own: Health, patience: Patience) -> State:
    """A head's own word holds until it is heard again; but what it did since is unknown to one that did not listen."""
    if not own.entitled:
        return State.UNKNOWN
    outdated = of.heard is None or of.heard < own.attentive
    if of.state is State.UNKNOWN and outdated and now - own.attentive < patience.timeout:
        return State.UNKNOWN
    return State.DOWN


def _silent(of: Evidence, now: float, own: Health, patience: Patience) -> State:
    if not own.entitled:
        return State.UNKNOWN
    if of.state is State.DOWN:
        return State.DOWN
    heard = of.watched if of.heard is None else of.heard
    if now - max(heard, own.attentive) >= patience.timeout * (2 if own.many or of.flapping else 1):
        return State.DOWN
    return State.UNKNOWN if of.state is State.UNKNOWN else State.SUSPECT


def _needed(of: Evidence, patience: Patience) -> int:
    if of.flapping:
        return max(BEATS_TO_BE_UP, round(STEADY * patience.timeout / patience.interval))
    return BEATS_TO_BE_UP

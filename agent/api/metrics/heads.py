"""The heads: their states as this one sees them, and how it hears them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from agent.api.metrics.metric import Metric, Sample, gauge
from agent.api.metrics.reading import Reading
from agent.heads.liveness import Standing, State

LONGEST = 64
"""Characters that are told of a head's description."""


def _by_state(reading: Reading) -> Iterator[Sample]:
    if reading.outlook is not None:
        counted = Counter(condition.state for condition in reading.outlook.conditions.values())
        for state in State:
            yield (state,), counted[state]


def _states(reading: Reading) -> Iterator[Sample]:
    if reading.outlook is not None:
        for uid, condition in reading.outlook.conditions.items():
            for state in State:
                yield (uid, state), condition.state is state


def _standing(reading: Reading) -> Iterator[Sample]:
    if reading.outlook is not None:
        for standing in Standing:
            yield (standing,), reading.outlook.standing is standing


def _records(reading: Reading) -> Iterator[Sample]:
    if reading.members is not None:
        for uid, head in reading.members.heads.items():
            yield (uid, (head.description or "")[:LONGEST], head.version or ""), 1


def _ages(reading: Reading) -> Iterator[Sample]:
    if reading.outlook is not None:
        own = reading.rooms.heads.self_uid
        for uid, condition in reading.outlook.conditions.items():
            if uid != own and own in condition.heard_by:
                yield (uid,), condition.heard_by[own]


def _round_trips(reading: Reading) -> Iterator[Sample]:
    for uid, seconds in reading.rooms.instruments.round_trips().items():
        yield (uid,), seconds


def _links(reading: Reading) -> Iterator[Sample]:
    yield ("out",), reading.rooms.instruments.heartbeat.links
    yield ("in",), len(reading.rooms.links)


HEADS: tuple[Metric, ...] = (
    gauge("heads", "Heads of the cluster in each state, this one among them.", _by_state, ("state",)),
    gauge("state", "1 for the state that a head is in, 0 for the others.", _states, ("head", "state")),
    gauge(
        "standing", "1 for whether this head may judge others: alone, majority or minority.", _standing, ("standing",)
    ),
    gauge(
        "record_info",
        "1; a head's description and the version of its agent, as its record has them.",
        _records,
        ("head", "description", "version"),
    ),
    gauge("heartbeat_age_seconds", "Since this head last heard another one itself.", _ages, ("head",)),
    gauge(
        "heartbeat_round_trip_seconds",
        "From a beat to its acknowledgement by the other head's kernel, smoothed; without an open link, nothing.",
        _round_trips,
        ("head",),
    ),
    gauge(
        "heartbeat_links",
        "Open links: out, over which this head beats to others, and in, over which others beat to it.",
        _links,
        ("direction",),
    ),
)

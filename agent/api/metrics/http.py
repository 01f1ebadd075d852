"""Requests and connections."""

from __future__ import annotations

from collections.abc import Iterator

from agent.api.metrics.metric import Metric, Sample, counter, gauge, histogram, one
from agent.api.metrics.reading import Reading


def _requests(reading: Reading) -> Iterator[Sample]:
    for (route, method), answered in reading.rooms.traffic.answered.items():
        for status, times in answered.statuses.items():
            yield (route, method, str(status)), times


def _durations(reading: Reading) -> Iterator[Sample]:
    for labels, answered in reading.rooms.traffic.answered.items():
        if any(answered.took.counts):
            yield labels, answered.took


def _connections(reading: Reading) -> Iterator[Sample]:
    for standing, count in reading.rooms.traffic.connections().items():
        yield (standing,), count


def _refused(reading: Reading) -> Iterator[Sample]:
    for code, times in reading.rooms.traffic.refused.items():
        yield (code,), times


HTTP: tuple[Metric, ...] = (
    counter(
        "http_requests_total",
        "Requests that were answered, by route, method and status; the route is `none` where there is no such path.",
        _requests,
        ("route", "method", "code"),
    ),
    histogram(
        "http_request_duration_seconds",
        "How long answers took, by route and method; streams are left out.",
        _durations,
        ("route", "method"),
    ),
    gauge(
        "http_requests_in_flight",
        "Requests that are being answered, streams among them.",
        lambda reading: one(reading.rooms.traffic.in_flight),
    ),
    gauge(
        "event_subscribers",
        "Readers of event streams, such as `cw-headctl services watch`.",
        lambda reading: one(len(reading.rooms.streams)),
    ),
    gauge(
        "http_connections",
        "Open connections: strangers, callers with a token and heads over TCP, local ones on the Unix socket.",
        _connections,
        ("standing",),
    ),
    counter(
        "http_denied_total",
        "Callers that were not let in, by the code of the answer.",
        _refused,
        ("code",),
    ),
    counter(
        "http_request_bytes_total",
        "Bytes of bodies that came in.",
        lambda reading: one(reading.rooms.traffic.received),
    ),
    counter(
        "http_response_bytes_total",
        "Bytes of bodies that went out, streams left out.",
        lambda reading: one(reading.rooms.traffic.sent),
    ),
)

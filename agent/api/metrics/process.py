"""The agent itself: what it is, whether its loops turn, its certificate."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator

from agent import __version__
from agent.api.metrics.metric import Metric, Sample, counter, gauge, histogram, one
from agent.api.metrics.reading import Reading
from agent.loops import Loop


def _build(_reading: Reading) -> Iterator[Sample]:
    yield (__version__, platform.python_version()), 1


def _info(reading: Reading) -> Iterator[Sample]:
    cluster = reading.members.cluster if reading.members is not None else ""
    yield (reading.rooms.live.config.head.uid, cluster), 1


def _ready(reading: Reading) -> Iterator[Sample]:
    for name, ready in reading.ready.items():
        yield (name,), ready


def _each(figure: Callable[[Loop], float]) -> Callable[[Reading], Iterator[Sample]]:
    def read(reading: Reading) -> Iterator[Sample]:
        for loop in reading.rooms.loops.all:
            yield (loop.name,), figure(loop)

    return read


def _successes(reading: Reading) -> Iterator[Sample]:
    for loop in reading.rooms.loops.all:
        if loop.succeeded is not None:
            yield (loop.name,), max(0.0, reading.now - loop.succeeded)


def _ends(reading: Reading) -> Iterator[Sample]:
    if reading.identity is not None:
        yield ("head",), reading.identity.ends.timestamp()
        yield ("ca",), reading.identity.ca_ends.timestamp()


def _threads(_reading: Reading) -> Iterator[Sample]:
    yield (), len(os.listdir("/proc/self/task"))


PROCESS: tuple[Metric, ...] = (
    gauge("build_info", "1; the agent's version, and Python's.", _build, ("version", "python")),
    gauge("info", "1; this head's uid, and its cluster's id.", _info, ("head", "cluster")),
    gauge("ready", "Whether what the agent depends on can be used, as /readyz tells.", _ready, ("dependency",)),
    gauge(
        "loop_success_age_seconds",
        "Since periodic work last succeeded; nothing before it has.",
        _successes,
        ("loop",),
    ),
    gauge(
        "loop_failing",
        "Whether periodic work failed the last time.",
        _each(lambda loop: loop.failure is not None),
        ("loop",),
    ),
    counter("loop_failures_total", "How often it failed.", _each(lambda loop: loop.failures), ("loop",)),
    counter(
        "loop_overruns_total",
        "How often it took longer than its interval.",
        _each(lambda loop: loop.overruns),
        ("loop",),
    ),
    histogram(
        "event_loop_lag_seconds",
        "How late the event loop came to what was due, looked at four times in a heartbeat's interval.",
        lambda reading: one(reading.rooms.instruments.heartbeat.lag),
    ),
    counter(
        "log_lines_lost_total",
        "Log lines that journald did not take.",
        lambda reading: one(reading.rooms.instruments.lost_lines()),
    ),
    gauge(
        "certificate_expiry_timestamp_seconds",
        "When this head's certificate ends, and when the CA does that issued it.",
        _ends,
        ("certificate",),
    ),
    gauge("threads", "Threads of the process.", _threads),
)

"""One row of the table of metrics: its name, what it means, and where it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from agent.api.metrics.reading import Reading
from agent.histogram import Histogram

PREFIX = "clusterware_head_"

Sample = tuple[tuple[str, ...], float | Histogram]
"""The labels' values, and the figure."""


class Type(StrEnum):
    """What Prometheus may do with it."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """A family of series; `labels` have few values, none of them a secret or what a stranger sent."""

    bare: str
    """The name without the prefix."""
    type: Type
    help: str
    read: Callable[[Reading], Iterable[Sample]]
    labels: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name as it is scraped; of a histogram, without the suffixes of its series."""
        return PREFIX + self.bare


def gauge(bare: str, meaning: str, read: Callable[[Reading], Iterable[Sample]], labels: tuple[str, ...] = ()) -> Metric:
    """What goes up and down."""
    return Metric(bare, Type.GAUGE, meaning, read, labels)


def counter(
    bare: str, meaning: str, read: Callable[[Reading], Iterable[Sample]], labels: tuple[str, ...] = ()
) -> Metric:
    """What only grows while the agent runs."""
    return Metric(bare, Type.COUNTER, meaning, read, labels)


def histogram(
    bare: str, meaning: str, read: Callable[[Reading], Iterable[Sample]], labels: tuple[str, ...] = ()
) -> Metric:
    """Durations, by how long they were."""
    return Metric(bare, Type.HISTOGRAM, meaning, read, labels)


def one(value: float | Histogram | None) -> Iterable[Sample]:
    """The only figure of a metric without labels; none where it is not known."""
    return [] if value is None else [((), value)]

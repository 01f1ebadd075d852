"""The text of a scrape, written by prometheus-client, which is imported with this module: at the first scrape."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

import prometheus_client
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from typing_extensions import override

from agent.api.metrics.metric import Metric, Sample, Type
from agent.histogram import Histogram


class Figures(NamedTuple):
    """A metric and what was read of it."""

    metric: Metric
    samples: Sequence[Sample]


def expose(figures: Sequence[Figures], accept: str) -> tuple[bytes, str]:
    """The text and its content type, in the format that the scraper accepts best. Takes milliseconds: use a thread."""
    try:
        encode, kind = choose_encoder(accept)
    except (TypeError, ValueError):  # it asks for a version that is none
        encode, kind = choose_encoder("")
    return encode(_Scrape(figures)), kind


class _Scrape(Collector):
    """All figures, and what prometheus-client knows of any process."""

    def __init__(self, figures: Sequence[Figures]) -> None:
        self._figures = figures

    @override
    def collect(self) -> Iterator[Family]:
        for metric, samples in self._figures:
            yield _family(metric, samples)
        yield from prometheus_client.REGISTRY.collect()


def _family(metric: Metric, samples: Sequence[Sample]) -> Family:
    match metric.type:
        case Type.GAUGE:
            gauge = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
            for labels, value in samples:
                gauge.add_metric(labels, _number(value))
            return gauge
        case Type.COUNTER:
            counter = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
            for labels, value in samples:
                counter.add_metric(labels, _number(value))
            return counter
        case Type.HISTOGRAM:
            histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
            for labels, value in samples:
                if isinstance(value, Histogram):
                    histogram.add_metric(labels, list(_buckets(value)), value.total)
            return histogram


def _number(value: float | Histogram) -> float:
    if isinstance(value, Histogram):
        raise TypeError("a histogram stands in the table as something else")
    return value


def _buckets(histogram: Histogram) -> Iterable[tuple[str, float]]:
    bounds = (*(repr(bound) for bound in histogram.bounds), "+Inf")
    return zip(bounds, accumulate(histogram.counts), strict=True)

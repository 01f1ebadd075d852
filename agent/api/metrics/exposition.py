"""The text of a scrape, written by prometheus-client, which is imported with this module: at the first scrape."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

import prometheus_client
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from typing_extensions import override

from agent.api.metrics.metric import Metric, Type
from agent.api.metrics.reading import Reading
from agent.histogram import Histogram


def expose(metrics: Sequence[Metric], reading: Reading, accept: str) -> tuple[bytes, str]:
    """The text and its content type, in the format that the scraper accepts best."""
    try:
        encode, kind = choose_encoder(accept)
    except (TypeError, ValueError):  # it asks for a version that is none
        encode, kind = choose_encoder("")
    return encode(_Scrape(metrics, reading)), kind


class _Scrape(Collector):
    """One reading of all metrics, and of what prometheus-client knows of any process."""

    def __init__(self, metrics: Sequence[Metric], reading: Reading) -> None:
        self._metrics = metrics
        self._reading = reading

    @override
    def collect(self) -> Iterator[Family]:
        for metric in self._metrics:
            yield _family(metric, self._reading)
        yield from prometheus_client.REGISTRY.collect()


def _family(metric: Metric, reading: Reading) -> Family:
    match metric.type:
        case Type.GAUGE:
            gauge = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
            for labels, value in metric.read(reading):
                gauge.add_metric(labels, _number(value))
            return gauge
        case Type.COUNTER:
            counter = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
            for labels, value in metric.read(reading):
                counter.add_metric(labels, _number(value))
            return counter
        case Type.HISTOGRAM:
            histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
            for labels, value in metric.read(reading):
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

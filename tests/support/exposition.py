"""Reading what a scrape answered, and the names and labels that PromQL asks for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_plain

from tests.support.daemon import ROOT

PROMTOOL = ROOT / "build" / "promtool"
RULES = ROOT / "packaging" / "prometheus" / "alerts.yml"
SCRAPE = ROOT / "packaging" / "prometheus" / "scrape.yml"
DASHBOARD = ROOT / "packaging" / "grafana" / "clusterware-heads.json"

_SELECTOR = re.compile(r"\b((?:clusterware_head|process|python)_\w+|up)\b(?:\{([^}]*)\})?")
_MATCHER = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
_FROM_SCRAPING = {"instance", "job", "le"}
"""Labels that Prometheus adds to each series, and that of buckets."""


@dataclass(frozen=True)
class Scraped:
    """The series of one scrape."""

    families: dict[str, str]
    """Names as the text declares them, and their types."""
    series: dict[tuple[str, frozenset[tuple[str, str]]], float]

    @classmethod
    def of(cls, text: str, *, openmetrics: bool = False) -> Scraped:
        """Out of the text; raises ValueError where it is not in the format."""
        families, series = {}, {}
        for family in (read_openmetrics if openmetrics else read_plain)(text):
            families[family.name] = family.type
            for sample in family.samples:
                series[sample.name, frozenset(sample.labels.items())] = sample.value
        return cls(families, series)

    def value(self, name: str, **labels: str) -> float:
        """One series; raises KeyError where there is none."""
        return self.series[name, frozenset(labels.items())]

    def total(self, name: str, **labels: str) -> float:
        """The sum of the series that have these labels, 0 where there is none."""
        wanted = set(labels.items())
        return sum(value for (found, has), value in self.series.items() if found == name and wanted <= has)

    def labels(self, name: str, label: str) -> set[str]:
        """The values that a label of a metric has."""
        return {dict(has)[label] for found, has in self.series if found == name}


def asked_for(promql: str) -> Iterator[tuple[str, set[str]]]:
    """The metrics that a text names, each with the labels of its own that it is selected by."""
    for name, matchers in _SELECTOR.findall(promql):
        yield name, set(_MATCHER.findall(matchers)) - _FROM_SCRAPING


def family_of(name: str) -> str:
    """The family that a series belongs to, as the text format names it."""
    for suffix in ("_total", "_bucket", "_count", "_sum"):
        name = name.removesuffix(suffix)
    return name


def expressions(rules: Path = RULES) -> list[str]:
    """The expression of each rule, as its lines stand there."""
    text = rules.read_text()
    return re.findall(r"^ {8}expr: (?:\|\n)?(.*?)(?=^ {8}\w+:)", text, re.DOTALL | re.MULTILINE)


def alerts(rules: Path = RULES) -> list[str]:
    """The names of all alerts."""
    return re.findall(r"^ {6}- alert: (\w+)$", rules.read_text(), re.MULTILINE)


def rules(path: Path = RULES) -> list[dict[str, str]]:
    """Each rule's name, severity, duration and texts."""
    found = []
    for part in path.read_text().split("      - alert: ")[1:]:
        rule = {"alert": part.partition("\n")[0], "severity": part.partition("severity: ")[2].partition("}")[0]}
        rule.update(re.findall(r'^ {8,10}(for|summary|description|action): "?(.*?)"?$', part, re.MULTILINE))
        found.append(rule)
    return found

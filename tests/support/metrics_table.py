"""The tables in docs/metrics.md, from the table of metrics and the rules: `python -m tests.support.metrics_table`."""

from __future__ import annotations

from agent.api.metrics.database import DATABASE
from agent.api.metrics.files import FILES
from agent.api.metrics.heads import HEADS
from agent.api.metrics.http import HTTP
from agent.api.metrics.metric import Metric
from agent.api.metrics.process import PROCESS
from agent.api.metrics.services import SERVICES
from tests.support.daemon import ROOT
from tests.support.exposition import RULES, rules

DOCUMENT = ROOT / "docs" / "metrics.md"
_TITLES: dict[str, tuple[Metric, ...]] = {
    "Heads": HEADS,
    "Services": SERVICES,
    "Files": FILES,
    "Database": DATABASE,
    "HTTP": HTTP,
    "The agent": PROCESS,
}


def metrics() -> str:
    """All metrics in Markdown, by what they are about."""
    lines = []
    for title, rows in _TITLES.items():
        lines += [f"### {title}", "", "| metric | type | labels | what |", "|---|---|---|---|"]
        for row in rows:
            labels = ", ".join(f"`{label}`" for label in row.labels)
            lines.append(f"| `{row.name}` | {row.type} | {labels} | {row.help} |")
        lines.append("")
    return "\n".join(lines).rstrip()


def alerts() -> str:
    """All alerts in Markdown, with what to do."""
    lines = ["| alert | for | severity | what it means | what to do |", "|---|---|---|---|---|"]
    for rule in rules(RULES):
        told = [rule[part].replace("|", "\\|") for part in ("description", "action")]
        lines.append(f"| {rule['alert']} | {rule.get('for', 'at once')} | {rule['severity']} | {told[0]} | {told[1]} |")
    return "\n".join(lines).replace("{{ $labels.", "<").replace(" }}", ">")


def written(text: str) -> str:
    """The document with the tables put in their places."""
    for name, table in (("metrics", metrics()), ("alerts", alerts())):
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        before, _, rest = text.partition(begin)
        text = f"{before}{begin}\n{table}\n{end}{rest.partition(end)[2]}"
    return text


if __name__ == "__main__":
    DOCUMENT.write_text(written(DOCUMENT.read_text()))

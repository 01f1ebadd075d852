"""The table of endpoints in docs/api.md, written from the route table: `python -m tests.support.endpoint_table`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent.api.call import Access, Route
from agent.api.query import Parameter
from agent.api.routes import ROUTES

DOCUMENT = Path(__file__).parents[2] / "docs" / "api.md"
BEGIN, END = "<!-- endpoints: begin -->", "<!-- endpoints: end -->"

_WHO = {
    Access.PUBLIC: "anyone",
    Access.KNOWN_HEAD: "known head",
    Access.OTHER_HEAD: "another head",
    Access.LOCAL: "local",
    Access.ROOT: "local, root",
}


def table(routes: Sequence[Route]) -> str:
    """The table in Markdown."""
    lines = ["| endpoint | who | what |", "|---|---|---|"]
    for route in routes:
        query = "".join(f" `?{switch}=1`" for switch in route.switches)
        query += "".join(f" `?{parameter.name}={_values(parameter)}`" for parameter in route.query)
        who = f"token `{route.permission}`" if route.access is Access.TOKEN else _WHO[route.access]
        lines.append(f"| `{route.method} {route.path}`{query} | {who} | {route.summary} |")
    return "\n".join(lines)


def _values(parameter: Parameter[Any]) -> str:
    """What a parameter may be: one of some words, or a kind of value."""
    schema = parameter.schema()
    return "\\|".join(schema["enum"]) if "enum" in schema else schema["type"].upper()


def written(text: str, routes: Sequence[Route]) -> str:
    """The document with the table put in its place."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{table(routes)}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    DOCUMENT.write_text(written(DOCUMENT.read_text(), ROUTES))

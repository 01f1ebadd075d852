"""The shapes of docs/cw-headctl.md, held against values: `{name, more: [{field}]}`, `[x]`, `{uid: {...}}`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs/cw-headctl.md"
_KEYS = ("uid", "kind")
"""Words that stand for any key, where they alone are followed by a colon."""
_TOKEN = re.compile(r"[{}\[\],:]|[a-z_0-9]+")

Shape = dict[str, Any] | list[Any] | None


def documented() -> dict[str, Shape]:
    """The shapes by command; None where the page says it in words."""
    table = PAGE.read_text().partition("<!-- shapes: begin -->")[2].partition("<!-- shapes: end -->")[0]
    shapes: dict[str, Shape] = {}
    for commands, data in re.findall(r"^\| (`.+?`) \| (.+) \|$", table, re.MULTILINE):
        found = re.match(r"`([\[{].*?)`(?:$|;)", data)
        for command in re.findall(r"`([^`]+)`", commands):
            shapes[command] = _parsed(_TOKEN.findall(found[1])) if found else None
    return shapes


def unfit(shape: Shape, value: Any, place: str = "data") -> list[str]:
    """Where the value is not as the shape says; null fits anywhere below."""
    if shape is None or (value is None and place != "data"):
        return []
    if isinstance(shape, list):
        if not isinstance(value, list):
            return [f"{place} is no list"]
        return [fault for n, item in enumerate(value) for fault in unfit(shape[0], item, f"{place}[{n}]")]
    if not isinstance(value, dict):
        return [f"{place} is no object"]
    if len(shape) == 1 and (any_key := next(iter(shape))) in _KEYS:
        return [fault for key, item in value.items() for fault in unfit(shape[any_key], item, f"{place}.{key}")]
    faults = [f"{place}.{name} is missing" for name in shape if name not in value]
    return faults + [
        fault for name in shape if name in value for fault in unfit(shape[name], value[name], f"{place}.{name}")
    ]


def _parsed(tokens: list[str]) -> Shape:
    token = tokens.pop(0)
    if token == "[":
        inner = _parsed(tokens)
        assert tokens.pop(0) == "]"
        return [inner]
    if token != "{":
        return None
    fields: dict[str, Any] = {}
    while tokens[0] != "}":
        name = tokens.pop(0)
        fields[name] = None
        if tokens[0] == ":":
            tokens.pop(0)
            fields[name] = _parsed(tokens)
        if tokens[0] == ",":
            tokens.pop(0)
    tokens.pop(0)
    return fields

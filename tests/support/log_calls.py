"""Every line that the agent's code may log, read from its source: the event, the level, the fields that it passes."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypeGuard

AGENT = Path(__file__).parents[2] / "agent"
LEVELS = {"debug", "info", "warning", "error", "critical", "exception"}
"""The methods of a logger, by the level they log at."""


class LogCall(NamedTuple):
    """One call that logs; `fields` are named as the code names them."""

    where: str
    level: str
    events: frozenset[str]
    """What it may say; empty where that is not written there as a text."""
    fields: frozenset[str]


def log_calls() -> list[LogCall]:
    """All calls of `log.<level>(...)` in the agent, and the lines that are put together below the loggers."""
    return [call for path in sorted(AGENT.rglob("*.py")) for call in _of_file(path)]


def lent_loggers() -> list[str]:
    """Where a logger's method is not called but handed on: nobody can tell then what is logged."""
    found = []
    for path in sorted(AGENT.rglob("*.py")):
        tree = ast.parse(path.read_text())
        called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        found += [
            f"{path}:{node.lineno}" for node in ast.walk(tree) if _is_logger_method(node) and id(node) not in called
        ]
    return found


def _of_file(path: Path) -> Iterator[LogCall]:
    tree = ast.parse(path.read_text())
    named = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    keys = _keys(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        where = f"{path.relative_to(AGENT.parent)}:{node.lineno}"
        if _is_logger_method(node.func):
            level, events = node.func.attr, node.args[:1]
        elif ast.unparse(node.func) == "journald.line" and isinstance(node.args[0], ast.Name):
            if node.args[0].id not in named:
                continue  # where every line comes by
            level, events = "warning", node.args[:1]
        elif ast.unparse(node.func) == "structlog.get_logger().log":
            level, events = "warning", node.args[1:2]
        else:
            continue
        fields = {keyword.arg for keyword in node.keywords if keyword.arg is not None}
        if len(fields) < len(node.keywords) or ast.unparse(node.func) == "journald.line":
            fields |= keys  # facts that are gathered elsewhere in the file
        yield LogCall(where, level, frozenset(_texts(events[0], named)), frozenset(fields))


def _is_logger_method(node: ast.AST) -> TypeGuard[ast.Attribute]:
    return isinstance(node, ast.Attribute) and node.attr in LEVELS and ast.unparse(node.value) == "log"


def _keys(tree: ast.AST) -> set[str]:
    """The names that a file's dictionaries give to what they hold, also those made by `dict(...)`."""
    found = {
        key.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    }
    return found | {
        keyword.arg
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "dict"
        for keyword in node.keywords
        if keyword.arg is not None
    }


def _texts(node: ast.expr, named: Mapping[str, object]) -> Iterator[str]:
    """What an expression may come to, as far as it is a text or a choice of texts."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.Name) and isinstance(text := named.get(node.id), str):
        yield text
    elif isinstance(node, ast.IfExp):
        yield from _texts(node.body, named)
        yield from _texts(node.orelse, named)

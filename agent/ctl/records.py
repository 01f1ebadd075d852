"""cw-headctl database save and load: all records as one document."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from typing import Any

from agent.ctl.client import ask
from agent.ctl.outcome import Exit, Failure, Outcome, Plan
from agent.ctl.progress import DATABASE, progress
from agent.ctl.show import bytes_text, count, json_text

_LONGEST = 900.0
_COLUMNS = ("action", "kind", "uid", "name", "fields")


def save(arguments: argparse.Namespace) -> Outcome:
    """Write all records to a file, for its owner alone; - is standard output."""
    target = arguments.file
    if target != "-" and os.path.lexists(target) and not arguments.force:
        raise Failure(f"cannot save to {target}: it is there already: name another file, or say --force", Exit.USAGE)
    data = ask(arguments.agent, "GET", "/database/records", doing="save the records", timeout=_LONGEST).data
    if target == "-":
        return Outcome(data, lines=[json_text(data)])
    size = _write(target, json_text(data, indent=1) + "\n")
    kinds = [record["kind"] for record in data["records"]]
    amounts = {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}
    told = ", ".join(count(amount, kind) for kind, amount in amounts.items())
    return Outcome(
        {"file": target, "bytes": size, "records": amounts},
        lines=[f"Saved {count(len(kinds), 'record')} to {target}, {bytes_text(size)}: {told}."],
    )


def plan_load(arguments: argparse.Namespace) -> Plan | Outcome:
    """What loading the file would add and change."""
    saved = _read(arguments.file)
    doing = f"load {arguments.file}"
    body = {"saved": saved}
    data = ask(arguments.agent, "POST", "/database/load?dry_run=1", body, doing=doing, timeout=_LONGEST).data
    steps = data["steps"]
    added, changed = (sum(step["action"] == action for step in steps) for action in ("add", "change"))
    lines = []
    if data["ignored"]:
        told = ", ".join(count(amount, kind) for kind, amount in data["ignored"].items())
        lines.append(f"Not loaded, as heads come by joining: {told}.")
    lines.append(f"{added} to add, {changed} to change, {data['same']} the same, {data['kept']} only here and kept.")
    if not steps:
        return Outcome({"plan": data, "written": 0, "backup": None}, lines=[*lines, "Nothing to do."])
    rows = [(s["action"], s["kind"], s["uid"], s["name"], ", ".join(s["fields"]) or None) for s in steps]
    arguments.saved = saved
    return Plan(doing, data, lines, _COLUMNS, rows, word="load")


def load(arguments: argparse.Namespace) -> Outcome:
    """Add and change what was shown, behind a backup."""
    body = {"saved": arguments.saved, "plan": arguments.plan["plan"]}
    data = ask(
        arguments.agent,
        "POST",
        "/database/load",
        body,
        doing=f"load {arguments.file}",
        timeout=_LONGEST,
        progress=progress(arguments.agent, DATABASE),
    ).data
    lines = [f"Loaded {count(data['written'], 'record')}; the backup is {data['backup']['name']}."]
    return Outcome(data, lines=lines)


def _read(path: str) -> Any:
    try:
        if path == "-":
            text = sys.stdin.read()
        else:
            with open(path, encoding="utf-8") as file:
                text = file.read()
        saved = json.loads(text)
    except OSError as err:
        raise Failure(f"cannot load {path}: {err.strerror}", Exit.USAGE) from None
    except ValueError as err:
        raise Failure(
            f"cannot load {path}: it is not JSON ({err}): give what `database save` wrote", Exit.USAGE
        ) from None
    except RecursionError:
        raise Failure(
            f"cannot load {path}: it is nested too deeply: give what `database save` wrote", Exit.USAGE
        ) from None
    if not isinstance(saved, dict) or "records" not in saved:
        raise Failure(f"cannot load {path}: it has no records: give what `cw-headctl database save` wrote", Exit.USAGE)
    return saved


def _write(path: str, text: str) -> int:
    """Write a file whole or not at all, for its owner alone; its size."""
    content = text.encode()
    try:
        with tempfile.NamedTemporaryFile("wb", dir=os.path.dirname(path) or ".", prefix=".", delete=False) as file:
            try:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                os.rename(file.name, path)
            except BaseException:
                os.unlink(file.name)
                raise
    except OSError as err:
        raise Failure(f"cannot save to {path}: {err.strerror}") from None
    return len(content)

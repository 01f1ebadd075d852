"""cw-headctl status: this head and its cluster on one screen, the worst first."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from typing import Any

from agent.ctl.doctor import report_of
from agent.ctl.finding import Finding, in_order, lines
from agent.ctl.outcome import Exit, Outcome
from agent.ctl.show import bytes_text, count
from agent.ctl.terminal import width

_WORST_FIRST = ("down", "unknown", "suspect", "up")
_DAY = 86400


def status(arguments: argparse.Namespace) -> Outcome:
    """Who this head is, what to act on, the heads, and the head's figures; degraded when anything is not well."""
    report = report_of(arguments.agent, "tell the head's status")
    one = in_a_row if arguments.all_heads else shown
    return one(report, time.time(), width(sys.stdout))


def shown(report: dict[str, Any], now: float, columns: int | None) -> Outcome:
    """A report as it is shown at `now`, seconds since 1970."""
    amiss = _amiss(report)
    verdict = "Everything is well." if not amiss else f"{count(len(amiss), 'thing')} to act on:"
    return Outcome(
        report,
        ("head", "state", "heard by", "version", "uid"),
        _heads(report.get("heads") or []),
        before=[*_identity(report), "", verdict, *lines(amiss, columns), ""],
        lines=["", *(f"{name:<12} {told}" for name, told in _figures(report, now).items() if told)],
        exit=Exit.DEGRADED if amiss else Exit.OK,
    )


def in_a_row(report: dict[str, Any], now: float, columns: int | None) -> Outcome:
    """A report as one of several."""
    amiss = _amiss(report)
    level = amiss[0].level if amiss else "ok"
    return Outcome(
        report,
        ("status", "services", "database", "store", "certificate", "last backup"),
        [(level, *(told or None for told in _short(report, now)))],
        lines=lines(amiss, None),
        exit=Exit.DEGRADED if amiss else Exit.OK,
    )


def _amiss(report: dict[str, Any]) -> list[Finding]:
    found = in_order(Finding.of(told) for told in report.get("findings", []))
    return [finding for finding in found if finding.level != "ok"]


def _identity(report: dict[str, Any]) -> list[str]:
    name = report.get("description") or "this head"
    told = [f"{name}  {report.get('uid')}  version {report.get('version')}"]
    if report.get("cluster"):
        standing = report.get("standing")
        told.append(f"cluster {report['cluster']}" + (f", {standing}" if standing else ""))
    return told


def _heads(heads: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    def rank(head: dict[str, Any]) -> tuple[int, str]:
        return _WORST_FIRST.index(head["state"]) if head["state"] in _WORST_FIRST else 0, head["uid"]

    return [
        (
            head["description"] or head["uid"],
            head["state"],
            f"{head['heard_by']} of {head['others']}" if head["others"] else None,
            head["version"],
            head["uid"],
        )
        for head in sorted(heads, key=rank)
    ]


def _figures(report: dict[str, Any], now: float) -> dict[str, str]:
    return {
        "services": _services(report.get("services")),
        "database": _database(report.get("database"), report.get("members")),
        "file store": _store(report.get("store")),
        "trash": _trash(report.get("store")),
        "certificate": _certificate(report.get("certificate")),
        "last backup": _backup(report.get("backup"), now),
    }


def _short(report: dict[str, Any], now: float) -> Iterator[str]:
    """The same for a row: several heads have to stand below each other in 80 columns."""
    yield _services(report.get("services"))
    engine, members = report.get("database"), report.get("members")
    yield (engine["kind"] + (f", {members['well']} of {members['voters']}" if members else "")) if engine else ""
    store, certificate = report.get("store"), report.get("certificate")
    yield f"{store['used']:.0f} %" if store else ""
    yield count(certificate["days"], "day") if certificate else ""
    yield _backup(report.get("backup"), now).rpartition(", ")[2]


def _services(found: dict[str, Any] | None) -> str:
    return f"{found['up']} of {found['all']} up" if found else ""


def _database(found: dict[str, Any] | None, members: dict[str, Any] | None) -> str:
    if not found:
        return ""
    told = f"{found['kind']}{' of the site' if found['adopted'] else ''}, {bytes_text(found['size'])}"
    if members:
        left = members["well"] - members["voters"] // 2 - 1
        told += f", {members['well']} of {count(members['voters'], 'member')}"
        told += f", bears the loss of {left}" if left > 0 else ", bears no loss"
    if found["age"] is not None:
        told += f", read {found['age']:.0f} s ago"
    return told


def _store(found: dict[str, Any] | None) -> str:
    if not found:
        return ""
    told = f"{found['used']:.0f} % used, {bytes_text(found['free'])} free"
    if scan := found.get("scan"):
        told += f"; {count(scan['files'], 'file')}, {scan['unused']} unused ({bytes_text(scan['unused_bytes'])})"
    return told


def _trash(found: dict[str, Any] | None) -> str:
    if not found:
        return ""
    if not found["trash_files"]:
        return "empty"
    return f"{count(found['trash_files'], 'file')}, {bytes_text(found['trash_bytes'])}"


def _certificate(found: dict[str, Any] | None) -> str:
    return f"good until {found['until'][:10]} ({count(found['days'], 'day')})" if found else ""


def _backup(found: dict[str, Any] | None, now: float) -> str:
    if not found:
        return "none yet"
    made = time.strptime(found["made"][:19], "%Y-%m-%dT%H:%M:%S")
    import calendar  # for this line only

    age = max(0, int((now - calendar.timegm(made)) // _DAY))
    when = "today" if not age else f"{count(age, 'day')} ago"
    return f"{found['name']}, {bytes_text(found['bytes'])}, {when}"

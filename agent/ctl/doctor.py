"""cw-headctl doctor: what is wrong, and the next step, also when no agent answers."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from agent.ctl.client import LOOK, Agent, ask
from agent.ctl.finding import Finding, in_order, lines
from agent.ctl.outcome import Exit, Failure, Outcome
from agent.ctl.show import count
from agent.ctl.terminal import width

PATIENCE = 15.0
"""Seconds that the agent has: its own checks end within two."""
SINCE = "0.2.0"
"""The first version of the agent that examines its head."""


def examine(arguments: argparse.Namespace) -> Outcome:
    """Every check with what it found; degraded when one is not ok, unreachable with what this machine tells of it."""
    agent = arguments.agent
    report: dict[str, Any] = {}
    try:
        report = report_of(agent, "examine the head")
    except Failure as failure:
        if agent.head or failure.status is Exit.DENIED:
            raise
        found = [Finding("connection", "failed", "this head", str(failure).partition(LOOK)[0])]
        otherwise = Exit.UNREACHABLE if failure.status is Exit.UNREACHABLE else Exit.DEGRADED
    else:
        found = [Finding.of(one) for one in report.get("findings", [])]
        otherwise = Exit.DEGRADED
    if not agent.head:
        from agent.ctl import machine, symptoms  # only where this machine is meant

        # Root sees more of these than the agent does.
        found = [finding for finding in found if finding.check != "static files"]
        seen = machine.examine(agent.socket, arguments.config, report.get("version"))
        if otherwise is Exit.UNREACHABLE:
            found = [finding._replace(todo=symptoms.hangs(seen)) for finding in found]
        found += seen
    findings = in_order(found)
    data = {
        "uid": report.get("uid"),
        "answers": bool(report),
        "level": findings[0].level if findings else "ok",
        "findings": [finding._asdict() for finding in findings],
    }
    well = bool(report) and data["level"] == "ok"
    shown = [finding for finding in findings if finding.level != "ok"] if arguments.all_heads else findings
    told = [*lines(shown, None if arguments.all_heads else width(sys.stdout)), summary(findings)]
    return Outcome(data, lines=told, exit=Exit.OK if well else otherwise)


def report_of(agent: Agent, doing: str) -> dict[str, Any]:
    """The report of an agent on its head; raises Failure, also where that agent is too old to make one."""
    try:
        report: dict[str, Any] = ask(agent, "GET", "/head/doctor", doing=doing, timeout=PATIENCE).data
    except Failure as failure:
        if failure.status is not Exit.UNREACHABLE and (version := _older(agent, doing)):
            raise Failure(
                f"cannot {doing}: its agent has version {version}, and examining comes with {SINCE}: install that "
                "there, and `systemctl restart clusterware-head-agent`"
            ) from None
        raise
    return report


def _older(agent: Agent, doing: str) -> str | None:
    """The version of an agent that knows no reports: what it says to anybody; None of any other."""
    try:
        version = str(ask(agent, "GET", "/head/peerurl", doing=doing, timeout=PATIENCE).data["version"])
        return version if _numbers(version) < _numbers(SINCE) else None
    except (Failure, KeyError, TypeError, ValueError):
        return None


def _numbers(version: str) -> list[int]:
    return [int(number) for number in version.split(".")[:2]]


def summary(findings: list[Finding]) -> str:
    """How many checks there were, and how many of them are not well."""
    bad, warned = (sum(finding.level == level for finding in findings) for level in ("failed", "warning"))
    if not bad + warned:
        return f"{count(len(findings), 'check')}, all well."
    return f"{count(len(findings), 'check')}: {bad} failed, {warned} to look at."

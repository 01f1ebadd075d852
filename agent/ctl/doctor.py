"""cw-headctl doctor: what is wrong, and the next step, also when no agent answers."""

from __future__ import annotations

import argparse
import sys

from agent.ctl.client import ask
from agent.ctl.finding import Finding, in_order, lines
from agent.ctl.outcome import Exit, Failure, Outcome
from agent.ctl.terminal import width

_DOING = "examine the head"
PATIENCE = 15.0
"""Seconds that the agent has: its own checks end within two."""


def examine(arguments: argparse.Namespace) -> Outcome:
    """Every check with what it found; degraded when one is not ok, unreachable with what this machine tells of it."""
    agent = arguments.agent
    try:
        report = ask(agent, "GET", "/head/doctor", doing=_DOING, timeout=PATIENCE).data
    except Failure as failure:
        if agent.head or failure.status is not Exit.UNREACHABLE:
            raise
        report = None
        findings = [Finding("agent", "failed", "this head", str(failure))]
    else:
        findings = [Finding.of(told) for told in report.get("findings", [])]
    if not agent.head:
        from agent.ctl import machine  # only where this machine is meant

        # Root sees more of these than the agent does.
        findings = [finding for finding in findings if finding.check != "static files"]
        findings += machine.examine(agent.socket, arguments.config, report and report.get("version"))
    findings = in_order(findings)
    data = {
        "uid": report and report.get("uid"),
        "answers": report is not None,
        "level": findings[0].level if findings else "ok",
        "findings": [finding._asdict() for finding in findings],
    }
    return Outcome(data, lines=[*lines(findings, width(sys.stdout)), summary(findings)], exit=_exit(data))


def summary(findings: list[Finding]) -> str:
    """How many checks there were, and how many of them are not well."""
    bad, warned = (sum(finding.level == level for finding in findings) for level in ("failed", "warning"))
    if not bad + warned:
        return f"{len(findings)} checks, all well."
    return f"{len(findings)} checks: {bad} failed, {warned} to look at."


def _exit(data: dict[str, object]) -> Exit:
    if not data["answers"]:
        return Exit.UNREACHABLE
    return Exit.OK if data["level"] == "ok" else Exit.DEGRADED

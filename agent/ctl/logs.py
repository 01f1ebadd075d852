"""cw-headctl logs: the agent's lines in this head's journal, by journalctl."""

from __future__ import annotations

import argparse
import glob
import os
import shlex
import sys
from collections.abc import Iterator
from typing import NoReturn
from urllib.parse import urlsplit

from agent.ctl.client import ask
from agent.ctl.journal import IDENTIFIER
from agent.ctl.outcome import Exit, Failure
from agent.hostfiles import ENGINE_UNIT, UNIT

NEWEST = 100
"""Lines that are shown where nobody says how many, or since when."""


def logs(arguments: argparse.Namespace) -> NoReturn:
    """Become journalctl, told to show the lines that are wanted. Raises Failure where it cannot."""
    if arguments.agent.head:
        _elsewhere(arguments)
    _check_open()
    command = journalctl(arguments)
    sys.stdout.flush()
    try:
        os.execvp(command[0], command)
    except OSError as err:
        reason = f"journalctl cannot be run ({err.strerror})"
        raise Failure(f"cannot show the journal: {reason}: it comes with systemd; is it in PATH?") from None


def journalctl(arguments: argparse.Namespace) -> list[str]:
    """The command line; `+` is journalctl's or, and what stands between two of them must all hold."""
    command = ["journalctl", "--quiet", "--no-hostname"]
    lines = arguments.lines
    if lines is None and arguments.since is None:
        lines = str(NEWEST)
    if lines is not None:
        command += [f"--lines={lines}"]
    if arguments.since is None:
        command += ["--no-pager"]
    else:
        command += [f"--since={arguments.since}"]
    if arguments.follow:
        command += ["--follow"]
    if arguments.priority is not None:
        command += [f"--priority={arguments.priority}"]
    if arguments.explain:
        command += ["--catalog"]
    if arguments.json:
        command += ["--output=json"]
    for number, group in enumerate(_groups(arguments)):
        command += ["+", *group] if number else group
    return command


def _groups(arguments: argparse.Namespace) -> Iterator[list[str]]:
    """What a line has to match, one group or the other."""
    fields = [
        f"{name}={value}"
        for name, value in (
            ("UNIT", _unit(arguments.unit)),
            ("REQUEST_ID", arguments.request),
            ("PEER", arguments.peer),
            ("HEAD_UID", arguments.head_uid),
            ("AUDIT", "1" if arguments.audit else None),
        )
        if value is not None
    ]
    yield [f"_SYSTEMD_UNIT={UNIT}.service", *fields]
    yield [f"SYSLOG_IDENTIFIER={IDENTIFIER}", "_UID=0", *fields]  # anybody may sign with that name
    if fields:
        return  # nobody else's lines have them
    for unit in (f"{UNIT}.service", *([ENGINE_UNIT] if arguments.engine else [])):
        yield ["_PID=1", f"UNIT={unit}"]  # what systemd says of it
    if arguments.engine:
        yield [f"_SYSTEMD_UNIT={ENGINE_UNIT}"]


def _unit(name: str | None) -> str | None:
    """A unit's name with the suffix that people leave out."""
    return name if name is None or "." in name else f"{name}.service"


def _elsewhere(arguments: argparse.Namespace) -> None:
    """Raises Failure: journals do not travel; it says how to see that one."""
    uid = arguments.agent.head
    heads = ask(arguments.agent._replace(head=None), "GET", "/heads", doing="find that head").data
    url = str(heads.get(uid, {}).get("url") or "")
    host = urlsplit(url).hostname or heads.get(uid, {}).get("description") or "HOST"
    raise Failure(
        f"cannot show the journal of head {uid} from here: each head keeps its own: `ssh -- {shlex.quote(host)} "
        f"cw-headctl logs`",
        Exit.USAGE,
    )


def _check_open() -> None:
    """Raises Failure where there is a system journal and whoever asks may not read it."""
    if os.geteuid() == 0:
        return
    machines = [path for place in ("/var/log", "/run/log") for path in glob.glob(f"{place}/journal/*")]
    if machines and not any(os.access(f"{path}/system.journal", os.R_OK) for path in machines):
        raise Failure(
            "cannot show the journal: it is not open to you: become root, or a member of the group systemd-journal "
            "(or adm)",
            Exit.DENIED,
        )

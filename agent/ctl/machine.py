"""What this machine says of the agent: systemd, the journal, files and the kernel are asked; nothing is changed."""

from __future__ import annotations

import argparse
import ctypes
import grp
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from agent import __version__
from agent.config import Config, ConfigError, load
from agent.ctl import config as configuration
from agent.ctl import symptoms
from agent.ctl.finding import Finding
from agent.ctl.outcome import Failure
from agent.ctl.symptoms import SocketSeen

PATIENCE = 5.0
"""Seconds that another program has."""
_UNSYNCHRONISED = 5
"""TIME_ERROR: what adjtimex(2) returns for a clock that nothing keeps right."""


def examine(socket: str, path: str, running: str | None) -> list[Finding]:
    """Everything that can be seen from here; `path` is the configuration's, `running` the version of the agent."""
    config, complaint = _config(path)
    found: list[Finding] = []
    if Path("/run/systemd/system").is_dir():
        seen = symptoms.units(_output("systemctl", "--no-pager", "show", *_properties(), "--", *symptoms.UNITS))
        found += _units(seen, complaint, socket, config) if seen else symptoms.unseen()
    else:
        detail = "this machine was not booted with systemd: there is nothing to control"
        found.append(Finding("systemd", "failed", "this head", detail, "run it on a head"))
    found += symptoms.versions(running, __version__)
    found += symptoms.configuration(complaint, _unfollowed(path) if complaint is None else (), path)
    if config is not None:
        found += symptoms.key(_key_problem(config.auth.ssh_key), str(config.auth.ssh_key))
    return found + _time()


def _units(seen: symptoms.Units, complaint: str | None, socket: str, config: Config | None) -> list[Finding]:
    """What systemd tells of the agent's units and their neighbours."""
    down = seen.get(symptoms.SERVICE, {}).get("ActiveState") != "active"
    found = symptoms.service(seen, complaint, _errors(symptoms.culprit(seen)) if down else ())
    found += symptoms.stale_units(seen)
    if not down:  # what starts the service starts the socket
        found += symptoms.listening(seen, _socket(socket), socket)
    return found + symptoms.neighbours(seen, runs_etcd=config is not None and not config.etcd.endpoints)


def _config(path: str) -> tuple[Config | None, str | None]:
    """The configuration, or what is wrong with it."""
    try:
        return load(Path(path), {}), None
    except ConfigError as err:
        return None, str(err)


def _unfollowed(path: str) -> list[str]:
    """What does not follow the configuration."""
    try:
        told = configuration.check(argparse.Namespace(config=path)).data["todo"]
    except (Failure, OSError) as err:
        return [str(err)]
    return [line for line in told if "`cw-headctl config apply`" not in line]


def _properties() -> list[str]:
    return [f"--property={','.join(symptoms.PROPERTIES)}"]


def _errors(unit: str) -> Sequence[str]:
    """The last errors of a unit in the journal, where it may be read, but for systemd's that it failed."""
    told = _output("journalctl", "--quiet", "--no-pager", "--output=cat", "-p", "err", "-n", "5", f"--unit={unit}")
    return [
        line
        for line in told.splitlines()
        if not line.startswith((f"Failed to start {unit}", f"Failed to listen on {unit}"))
    ]


def _output(*command: str) -> str:
    """What a program prints; nothing where it is missing, fails or takes too long."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False, errors="replace")
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def _socket(path: str) -> SocketSeen | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    try:
        group = grp.getgrgid(status.st_gid).gr_name
    except KeyError:
        group = str(status.st_gid)
    return SocketSeen(status.st_mode, group)


def _key_problem(path: Path) -> str | None:
    """Why a key cannot be read; who is not root cannot tell, and says nothing."""
    try:
        text = path.read_bytes()
    except PermissionError:
        return None if os.geteuid() else "permission denied"
    except OSError as err:
        return err.strerror
    return None if b"PRIVATE KEY-----" in text else "it is no private key"


def _time() -> list[Finding]:
    """Whether the kernel says that its clock is kept right, whichever program does so (adjtimex(2))."""
    if Path("/run/systemd/container").exists():
        return symptoms.synchronised(answer=None, why="a container's clock is its host's business")
    libc = ctypes.CDLL(None, use_errno=True)
    # struct timex is 208 bytes on 64-bit Linux; all zero, its `modes` ask for nothing to be changed.
    state = libc.adjtimex(ctypes.create_string_buffer(512))
    if state < 0:
        return symptoms.synchronised(answer=None, why=f"the kernel does not tell ({os.strerror(ctypes.get_errno())})")
    return symptoms.synchronised(answer=state != _UNSYNCHRONISED, why="")

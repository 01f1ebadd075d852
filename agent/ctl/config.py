"""cw-headctl config: what root has to do for the agent, which could not."""

from __future__ import annotations

import argparse
import errno
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from agent import hostfiles
from agent.config import Config, ConfigError, load
from agent.ctl import storage
from agent.ctl.journal import Journal
from agent.ctl.outcome import Exit, Failure, Outcome

log = Journal()

SERVICE = f"{hostfiles.UNIT}.service"
"""The agent's own unit."""


def check(arguments: argparse.Namespace) -> Outcome:
    """Say whether the configuration is right and whether root's files follow it."""
    config = _load(Path(arguments.config))
    todo = [f"{path} {'differs' if present else 'is missing'}" for path, present in _differences(config).items()]
    if todo:
        todo.append("`cw-headctl config apply` writes what is missing or differs")
    todo += storage.complaints(config)
    data = {"config": str(arguments.config), "uid": config.head.uid, "todo": todo}
    lines = [f"{arguments.config}: right; this head is {config.head.uid}", *(f"  {line}" for line in todo)]
    return Outcome(data, lines=lines, exit=Exit.DEGRADED if todo else Exit.OK)


def apply(arguments: argparse.Namespace) -> Outcome:
    """Make root's files follow the configuration, and say what is left to do."""
    if os.geteuid() != 0:
        raise Failure("cannot apply the configuration: it writes below /etc: become root", Exit.DENIED)
    config = _load(Path(arguments.config))
    done: list[str] = []
    try:
        done += storage.prepare(config)
        changed = _differences(config)
        rendered = hostfiles.render(config, hostfiles.store_group(config.files.root), _primaries(config))
        for path in changed:
            _replace(path, rendered[path])
            done.append(f"Wrote {path}")
    except (OSError, LookupError) as err:
        uid = config.head.uid
        log.warning("Configuration not applied", audit=1, result="failed", head_uid=uid, reason=str(err), done=done)
        remedy = ": run `systemd-sysusers`" if isinstance(err, LookupError) else ""
        raise Failure(f"cannot apply the configuration: {err}{remedy}") from err
    if done:
        log.info("Configuration applied", audit=1, result="done", head_uid=config.head.uid, done=done)
    units = [unit for path, unit in _DROP_INS.items() if path in changed]
    restart = _tell_systemd(units) if units else []
    left = storage.complaints(config)
    todo = [*([f"systemctl restart {' '.join(restart)}"] if restart else []), *left]
    if SERVICE not in restart and _was_changed_since(Path(arguments.config), SERVICE):
        todo.insert(0, f"systemctl reload {SERVICE}")
    lines = [
        *(done or ["Nothing to write: root's files follow the configuration."]),
        *(f"To do: {line}" for line in todo),
    ]
    return Outcome({"done": done, "todo": todo}, lines=lines, exit=Exit.DEGRADED if left else Exit.OK)


def _load(path: Path) -> Config:
    try:
        return load(path, {})
    except ConfigError as err:
        if os.geteuid() != 0 and os.strerror(errno.EACCES) in str(err):
            raise Failure(f"{err}: become root", Exit.DENIED) from None
        raise Failure(str(err)) from None


def _differences(config: Config) -> dict[Path, str | None]:
    group = hostfiles.store_group(config.files.root)
    return hostfiles.differences(config, Path.read_text, group, _primaries(config))


def _primaries(config: Config) -> list[str]:
    """The primary names of the units that the configuration names by an alias; none where systemd cannot be asked."""
    names = [name if name.endswith(".service") else f"{name}.service" for name in config.services.patterns]
    names = [name for name in names if not set(name) & set("*?[")]
    if not names or not Path("/run/systemd/system").is_dir():
        return []
    command = ["systemctl", "--no-ask-password", "show", "--property=Id", "--value", "--", *names]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    return sorted({unit for unit in told if unit.endswith(".service")} - set(names))


def _replace(path: Path, text: str) -> None:
    """Write a file whole or not at all; everybody may read it."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".", delete=False) as file:
        try:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
            os.rename(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise


_DROP_INS = {
    hostfiles.SERVICE: SERVICE,
    hostfiles.SOCKET: f"{hostfiles.UNIT}.socket",
    hostfiles.ENGINE: hostfiles.ENGINE_UNIT,
}
"""Each drop-in, and the unit that has to be restarted for it."""


def _was_changed_since(path: Path, unit: str) -> bool:
    """Whether a file is newer than the last start or reload of a unit that runs."""
    if not Path("/run/systemd/system").is_dir():
        return False
    command = ["systemctl", "show", "--property=ActiveState,StateChangeTimestampMonotonic", unit]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    properties = dict(line.split("=", 1) for line in told)
    if properties.get("ActiveState") != "active":
        return False
    unchanged_for = time.monotonic() - int(properties["StateChangeTimestampMonotonic"]) / 1e6
    return time.time() - path.stat().st_mtime < unchanged_for


def _tell_systemd(units: Sequence[str]) -> list[str]:
    """Have systemd read the drop-ins; which running units still have the old ones."""
    if not Path("/run/systemd/system").is_dir():
        return []
    systemctl = ["systemctl", "--no-ask-password"]
    done = subprocess.run([*systemctl, "daemon-reload"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failure(f"cannot have systemd read the new files: {done.stderr.strip()}: run `systemctl daemon-reload`")
    return [u for u in units if subprocess.run([*systemctl, "--quiet", "is-active", u], check=False).returncode == 0]

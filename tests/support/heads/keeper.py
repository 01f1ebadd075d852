"""The keeper: holds a run's namespaces and control groups, and ends everything when its standard input closes.

Run by `Heads` as the first process of a new PID, mount and network namespace. Prints the control groups it made.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

PREFIX = "cw-heads."


def hierarchies() -> list[Path]:
    """Where control groups are made: the unified hierarchy first, then systemd's own on hybrid machines."""
    unified: list[Path] = []
    named: list[Path] = []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, options, *_ = line.split()
        if kind == "cgroup2":
            unified.append(Path(place))
        elif kind == "cgroup" and "name=systemd" in options.split(","):
            named.append(Path(place))
    return unified[:1] + named[:1]


def take_down(group: Path) -> None:
    """Kill what runs in a control group and below, and remove it."""
    with contextlib.suppress(FileNotFoundError), open(group / "cgroup.kill", "r+") as kill:  # not on hybrid's own
        kill.write("1")
    deadline = time.monotonic() + 10
    for path in [*sorted(group.rglob("*/"), reverse=True), group]:
        while path.is_dir():
            try:
                path.rmdir()
            except OSError:
                if time.monotonic() > deadline:
                    return
                time.sleep(0.02)


def sweep() -> None:
    """Take down what runs left behind whose keeper was itself killed."""
    for base in hierarchies():
        for group in base.glob(f"{PREFIX}*"):
            if not Path("/proc", group.name.removeprefix(PREFIX).partition(".")[0]).exists():
                take_down(group)


def _groups(run: str) -> list[Path]:
    if Path("/run/systemd/system").is_dir():
        # Started in a scope of its own, which systemd delegated to us.
        own = next(x for x in Path("/proc/self/cgroup").read_text().splitlines() if x.startswith("0::"))
        return [hierarchies()[0] / own[3:].lstrip("/") / f"{PREFIX}{run}"]
    return [base / f"{PREFIX}{run}" for base in hierarchies()]


def main(run: str) -> None:
    """Make what the run needs, say so, wait for the end of standard input, and take everything down."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    groups = _groups(run)
    for group in groups:
        group.mkdir()
    # A /run of our own: network namespaces, nspawn's state and the heads' files are never seen outside.
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "heads", "/run"], check=True)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the first process of a PID namespace inherits its orphans
    print(*groups, flush=True)
    while os.read(0, 4096):
        pass
    for group in groups:
        take_down(group)


if __name__ == "__main__":
    main(sys.argv[1])

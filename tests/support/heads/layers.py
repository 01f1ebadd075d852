"""The layers of a head's root: this machine's "/", what hides its own life, the agent, what is written."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

CHECKOUT = Path(__file__).parents[3]

_HIDDEN = (
    "etc/clusterware-head-agent",
    "etc/init.d",
    "etc/ssh",
    "etc/systemd/system",
    "opt/scyld",
    "root",
    "run",
    "tmp",
    "var/lib/clusterware-head-agent",
    "var/lib/systemd",
    "var/log/journal",
    "var/tmp",
)
"""What of this machine a head does not see: its units, its keys, its temporary files, an agent of its own."""

_POLICY = "usr/sbin/policy-rc.d"
"""In a container it says that no package may start services; a head is no container to what runs in it."""

_MASKED = (
    "getty.target",
    "console-getty.service",
    "systemd-logind.service",
    "systemd-timesyncd.service",
    "systemd-update-utmp.service",
)
_FILES = {
    "etc/fstab": "",
    "etc/systemd/journald.conf.d/heads.conf": "[Journal]\nStorage=volatile\nRateLimitIntervalSec=0\n",
    "etc/systemd/system.conf.d/heads.conf": "[Manager]\nDefaultTimeoutStopSec=10s\nShowStatus=no\n",
}

MEASURED = Path("/var/lib/coverage")
"""Where coverage data are written in a head: not below /tmp, of which a unit may have one of its own."""
COVERAGE = ("COVERAGE_PROCESS_START=/etc/coverage.ini", "COVERAGE_CORE=ctrace")
"""What has a Python process of a head measured."""


def host_layer(layer: Path) -> None:
    """Make the layer that hides this machine's own life."""
    for name in _HIDDEN:
        place = layer / name
        if not (Path("/") / name).exists():
            continue
        place.mkdir(parents=True)
        os.setxattr(place, "trusted.overlay.opaque", b"y")
        _like_the_host(layer, name)
    for name, text in _FILES.items():
        (layer / name).parent.mkdir(parents=True, exist_ok=True)
        (layer / name).write_text(text)
    if (Path("/") / _POLICY).exists():
        (layer / _POLICY).parent.mkdir(parents=True, exist_ok=True)
        os.mknod(layer / _POLICY, stat.S_IFCHR, os.makedev(0, 0))  # overlayfs' mark of what is not there
    (layer / "etc/systemd/system").mkdir(parents=True, exist_ok=True)
    for unit in _MASKED:
        (layer / "etc/systemd/system" / unit).symlink_to("/dev/null")
    (layer / "etc/systemd/system/default.target").symlink_to("/lib/systemd/system/multi-user.target")


def agent_layer(layer: Path) -> None:
    """Lay the agent out as `make install` does."""
    _command(["make", "--no-print-directory", "-C", str(CHECKOUT), "install", f"DESTDIR={layer}"])


def coverage_layer(layer: Path) -> None:
    """Have every Python of the head that runs the agent measured; MEASURED is the directory that takes the results."""
    packages = layer / "usr/lib/python3/dist-packages"
    packages.mkdir(parents=True)
    site = next((CHECKOUT / ".venv/lib").glob("python3.*/site-packages"))
    _command(["cp", "-r", str(site / "coverage"), str(site / "a1_coverage.pth"), str(packages)])
    settings = "[run]\nsource_pkgs = agent\nbranch = true\nparallel = true\nsigterm = false\n"
    (layer / "etc").mkdir(exist_ok=True)
    (layer / "etc/coverage.ini").write_text(f"{settings}data_file = {MEASURED}/.coverage\n")
    drop_in = layer / "etc/systemd/system/clusterware-head-agent.service.d/99-coverage.conf"
    drop_in.parent.mkdir(parents=True)
    drop_in.write_text(f"[Service]\nEnvironment={' '.join(COVERAGE)}\nReadWritePaths={MEASURED}\n")


def mount_root(enter: Sequence[str], layers: Sequence[Path], place: Path) -> Path:
    """Mount a head's root below `place`, as seen in the namespace that `enter` enters; returns where it is."""
    lower = ":".join([*(str(layer) for layer in layers), "/"])
    upper, work, root = place / "upper", place / "work", place / "root"
    _command([*enter, "mkdir", "-p", *map(str, (upper, work, root))])
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    _command([*enter, "mount", "-t", "overlay", "overlay", "-o", options, str(root)])
    return root


def furnish(root: Path, name: str, hosts: dict[str, str]) -> None:
    """Give a root what makes it this head: its name, its id, its SSH key."""
    (root / "etc/hostname").write_text(f"{name}\n")
    (root / "etc/machine-id").write_text(f"{uuid4().hex}\n")
    lines = ["127.0.0.1 localhost", "::1 localhost", *(f"{address} {host}" for host, address in hosts.items())]
    (root / "etc/hosts").write_text("\n".join(lines) + "\n")
    key = root / "etc/ssh/ssh_host_ed25519_key"
    key.parent.mkdir(exist_ok=True)
    _command(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"root@{name}", "-f", str(key)])


def _like_the_host(layer: Path, name: str) -> None:
    """Give a directory, and those above it, the mode and owner that they have on this machine."""
    for part in [Path(name), *Path(name).parents][:-1]:
        if (host := Path("/") / part).exists():
            status = host.stat()
            os.chown(layer / part, status.st_uid, status.st_gid)
            (layer / part).chmod(status.st_mode & 0o7777)


def _command(argv: Sequence[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"cannot prepare a head: {' '.join(argv)}: {done.stderr.strip() or done.stdout.strip()}")

"""What somebody could do who runs code of their own inside the agent; run in its sandbox, prints what worked.

Needs nothing but the standard library. Each attempt is a function; that it raises OSError is the good end.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import mmap
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
NEW_USER, NEW_NET = 0x10000000, 0x40000000
ATTACH = 16


def call(name: str, *arguments: object) -> None:
    """A function of the C library that returns -1 when it fails."""
    if getattr(LIBC, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), name)


def writing(path: str) -> Callable[[], object]:
    """Leave a file there."""
    return lambda: Path(path).write_text("x")


def reading(path: str) -> Callable[[], object]:
    """Read one."""
    return lambda: Path(path).open("rb").read(1)


def program(*argv: str) -> Callable[[], object]:
    """Run something that ends well only where it must not."""

    def run() -> None:
        if subprocess.run(argv, capture_output=True, check=False, timeout=20).returncode:
            raise OSError(argv[0])

    return run


def writable_code() -> None:
    """Memory that can be written and run."""
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


def set_uid_file(place: str) -> Callable[[], object]:
    """A program that others would run as this user."""

    def make() -> None:
        path = Path(place) / "captive"
        path.write_text("x")
        try:
            path.chmod(0o4755)
        finally:
            path.unlink()

    return make


def sockets(family: int, kind: int) -> Callable[[], object]:
    """A socket of that kind."""
    return lambda: socket.socket(family, kind).close()


def attempts(neighbour: int, state: str, store: str) -> dict[str, Callable[[], object]]:
    """By name; `neighbour` is another process of the same user: the agent."""
    found: dict[str, Callable[[], object]] = {
        "be root": lambda: os.setuid(0),
        "be in another group": lambda: os.setgroups([0]),
        "own other files": lambda: os.chown(state, 0, 0),
        "a user namespace": lambda: call("unshare", NEW_USER),
        "a network namespace": lambda: call("unshare", NEW_NET),
        "mount": lambda: call("mount", b"none", b"/tmp", b"tmpfs", 0, None),
        "change the root": lambda: os.chroot("/tmp"),
        "trace init": lambda: call("ptrace", ATTACH, 1, 0, 0),
        "trace a neighbour": lambda: call("ptrace", ATTACH, neighbour, 0, 0),
        "kill init": lambda: os.kill(1, 0),
        "set the clock": lambda: call("adjtimex", ctypes.create_string_buffer(b"\x01" + bytes(400), 512)),
        "set the host's name": lambda: socket.sethostname("captive"),
        "load a module": lambda: call("syscall", 313, -1, b"", 0),
        "reboot": lambda: call("reboot", 0),
        "be nicer than others": lambda: os.setpriority(os.PRIO_PROCESS, 0, -5),
        "be real-time": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
        "writable code": writable_code,
        "set-uid in the state": set_uid_file(state),
        "set-uid in the store": set_uid_file(store),
        "raw packets": sockets(socket.AF_INET, socket.SOCK_RAW),
        "every packet": sockets(socket.AF_PACKET, socket.SOCK_RAW),
        "netlink": sockets(socket.AF_NETLINK, socket.SOCK_RAW),
        "a low port": lambda: socket.create_server(("127.0.0.1", 80)).close(),
        "sudo": program("sudo", "-n", "true"),
        "a transient unit": program("systemd-run", "--no-ask-password", "--wait", "true"),
        "another's service": program("systemctl", "--no-ask-password", "restart", "dbus.service"),
        "another's unit file": program("systemctl", "--no-ask-password", "enable", "dbus.service"),
    }
    secrets = ("/etc/shadow", "/root/.secret", "/etc/ssh/ssh_host_ed25519_key", "/opt/scyld/clusterware/conf/base.ini")
    memory = [f"/proc/{pid}/{name}" for pid in (1, neighbour) for name in ("mem", "environ", "maps")]
    devices = ("/dev/mem", "/dev/kmsg", "/dev/sda", "/dev/loop0")
    for path in (*secrets, *memory, *devices, f"/proc/{neighbour}/root/etc/hostname"):
        found[f"read {path}"] = reading(path)
    places = (
        "/",
        "/etc",
        "/usr/lib/clusterware-head-agent",
        "/var",
        "/var/lib",
        "/opt",
        "/srv",
        "/run",
        "/boot",
        "/sys",
    )
    for directory in (*places, "/etc/clusterware-head-agent", "/etc/systemd/system", "/run/systemd/system", "/home"):
        found[f"write in {directory}"] = writing(f"{directory}/captive")
    for path in ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/sys/fs/cgroup/cgroup.procs"):
        found[f"write {path}"] = writing(path)
    return found


def main(neighbour: int, state: str, store: str) -> None:
    """Print the names of the attempts that worked, and whether what the agent does itself works too."""
    worked = []
    tried = attempts(neighbour, state, store)
    for name, attempt in tried.items():
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            attempt()
            worked.append(name)
    for place in (state, store, "/tmp"):
        Path(place, "captive").write_text("x")
        Path(place, "captive").unlink()
    print(json.dumps({"tried": len(tried), "worked": worked}))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])

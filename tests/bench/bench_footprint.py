"""What the agent costs while it does nothing: start, memory, CPU; on a booted head, against a process without a job.

The baseline imports the same libraries, listens on a Unix socket and waits. Both are started in turn and told apart
by nothing but what they do. Ratios are of medians over interleaved rounds.
"""

from __future__ import annotations

import statistics
import time

from tests.support.heads import Head, Heads

ROUNDS = 7
IDLE = 30.0
"""Seconds over which idle CPU is measured."""

BASELINE = """\
import sys, time
sys.path.insert(0, "/usr/lib/clusterware-head-agent/lib")
import aiohttp.web, aiosqlite, structlog, msgspec, jwt, pydbus, systemd.daemon, systemd.journal, sqlite3, asyncio
from gi.repository import Gio, GLib
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
async def main():
    server = await asyncio.start_unix_server(lambda r, w: None, "/run/baseline.sock")
    systemd.daemon.notify("READY=1")
    await asyncio.sleep(3600)
asyncio.run(main())
"""

UNITS = {
    "bench-baseline": "/usr/bin/python3 -I /usr/local/lib/baseline.py",
    "bench-agent": "/usr/sbin/clusterware-head-agent --config /etc/bench.ini",
}
CONFIG = """\
[head]
uid = benchbenchbenchbenchbenchbench00
[api]
listen = 127.0.0.1:52399
socket = /run/bench.sock
drain = 0s
[database]
path = /var/lib/bench/agent.db
[state]
directory = /var/lib/bench
"""


def prepare(head: Head) -> None:
    """Two services that systemd times from exec to READY."""
    head.write("/usr/local/lib/baseline.py", BASELINE)
    head.write("/etc/bench.ini", CONFIG)
    for name, command in UNITS.items():
        head.write(f"/etc/systemd/system/{name}.service", f"[Service]\nType=notify\nExecStart={command}\n")
    head.systemctl("daemon-reload")


def start(head: Head, unit: str) -> float:
    """Seconds from exec to READY, by systemd's own clock."""
    head.systemctl("start", unit)
    begun, ready = (
        int(head.show(unit, name)) for name in ("ExecMainStartTimestampMonotonic", "ActiveEnterTimestampMonotonic")
    )
    return (ready - begun) / 1e6


def resident(head: Head, unit: str) -> float:
    """Resident memory in MiB."""
    pid = head.show(unit, "MainPID")
    status = head.run("cat", f"/proc/{pid}/status").stdout
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def cpu(head: Head, unit: str) -> float:
    """CPU seconds that its threads have used, to the nanosecond (proc(5)): a tick of the clock says too little."""
    pid = head.show(unit, "MainPID")
    told = head.run("sh", "-c", f"cat /proc/{pid}/task/*/schedstat").stdout
    return sum(int(line.split()[0]) for line in told.splitlines()) / 1e9


def main() -> None:
    """Print the figures and their ratios."""
    took: dict[str, list[float]] = {unit: [] for unit in UNITS}
    memory: dict[str, list[float]] = {unit: [] for unit in UNITS}
    with Heads() as heads:
        head = heads.boot("bench")
        prepare(head)
        for round_ in range(ROUNDS + 1):
            for unit in UNITS:
                seconds = start(head, unit)
                time.sleep(0.5)
                if round_:  # the first makes certificates and fills caches
                    took[unit].append(seconds)
                    memory[unit].append(resident(head, unit))
                head.systemctl("stop", unit)
        head.systemctl("start", "bench-agent")
        time.sleep(3)
        before = cpu(head, "bench-agent")
        time.sleep(IDLE)
        idle = (cpu(head, "bench-agent") - before) / IDLE
    _row("exec to READY, s", took, "1.5")
    _row("resident memory, MiB", memory, "1.25")
    print(f"idle CPU over {IDLE:.0f} s: {idle:.3%} (goal: under 0.2 %)")


def _row(what: str, values: dict[str, list[float]], goal: str) -> None:
    baseline, agent = (statistics.median(values[unit]) for unit in UNITS)
    ratio = agent / baseline
    print(f"{what}: baseline {baseline:.3f}, agent {agent:.3f}, ratio {ratio:.2f} (goal: at most {goal})")


if __name__ == "__main__":
    main()

"""One head: booted, entered, written to, frozen, crashed."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent import __version__
from tests.support.described import check

UNIT = "clusterware-head-agent.service"
SOCKET = "run/clusterware-head-agent.sock"
CONFIG = "/etc/clusterware-head-agent/head-agent.ini"
_ENVIRONMENT = (
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME=/root",
    "LANG=C.UTF-8",
    "TERM=dumb",
)
Done = subprocess.CompletedProcess[str]


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 20.0) -> Any:
    """The first true value of `condition`, asked every 20 ms; raises TimeoutError saying what was waited for."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(0.02)
    return value


@dataclass(slots=True)
class Answer:
    """What the API answered."""

    status: int
    headers: dict[str, str]
    body: Any

    @property
    def data(self) -> Any:
        """The envelope's data."""
        return self.body["data"]


@dataclass(slots=True)
class Head:
    """One head; see the package."""

    name: str
    address: str
    root: Path
    """Its root directory as seen from here."""
    _inner_root: Path
    _groups: Sequence[Path]
    _namespaces: Sequence[str]
    environment: Sequence[str] = ()
    """What every command run in the head finds in its environment, as NAME=value."""
    uid: str = ""
    store: str = "/srv/store"
    _leader: int = 0

    def __post_init__(self) -> None:
        self.uid = self.uid or (self.name.replace("-", "") + "0" * 32)[:32]

    # --- Power ---

    def power_on(self) -> None:
        """Boot, and wait until systemd has started everything."""
        for group in self._groups:
            group.mkdir(exist_ok=True)
        # In the background of a shell that ends at once: the container is the keeper's to reap, not ours.
        script = 'for g in $GROUPS_; do echo $$ > "$g/cgroup.procs"; done; "$@" &'
        nspawn = ["systemd-nspawn", "--quiet", f"--directory={self._inner_root}", "--boot", f"--machine={self.name}"]
        nspawn += ["--register=no", "--keep-unit", f"--network-namespace-path=/run/netns/{self.name}"]
        nspawn += ["--resolv-conf=off", "--timezone=off", "--link-journal=no", "--console=pipe"]
        with open(self._console, "ab") as console:
            subprocess.run(
                [*self._namespaces, "sh", "-c", script, "sh", *nspawn],
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
                # What systemd-nspawn reads: the head has the unified hierarchy alone, and the /tmp of its root.
                env={
                    **os.environ,
                    "GROUPS_": " ".join(map(str, self._groups)),
                    "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
                    "SYSTEMD_NSPAWN_TMPFS_TMP": "0",
                },
            )
        wait_for(self._booted, f"{self.name} to boot; its console is {self._console}", 60)

    def crash(self) -> None:
        """Pull the plug: what is not on disk is lost."""
        (self._groups[0] / "cgroup.kill").write_text("1")
        wait_for(lambda: not self.is_on, f"{self.name} to end", 30)
        self._leader = 0

    def freeze(self) -> None:
        """Stop everything in the head at once, as a hypervisor's pause does; the network still answers."""
        (self._groups[0] / "payload/cgroup.freeze").write_text("1")

    def thaw(self) -> None:
        """Go on after `freeze`."""
        (self._groups[0] / "payload/cgroup.freeze").write_text("0")

    def processes(self, unit: str = UNIT) -> list[int]:
        """The processes of a unit, by the PIDs they have here; none where it does not run."""
        try:
            text = (self._groups[0] / "payload/system.slice" / unit / "cgroup.procs").read_text()
        except FileNotFoundError:
            return []
        return [int(word) for word in text.split()]

    def signal(self, number: signal.Signals, unit: str = UNIT) -> None:
        """Send a signal to all processes of a unit at once; systemd learns of it as the kernel tells."""
        for pid in self.processes(unit):
            os.kill(pid, number)

    def kill_for_good(self, unit: str = UNIT) -> None:
        """Kill the processes of a unit, and have neither systemd nor a connection start it before `revive`."""
        self.systemctl("mask", "--runtime", "--quiet", unit)
        self.signal(signal.SIGKILL, unit)

    def is_masked(self, unit: str = UNIT) -> bool:
        """Whether a unit was killed for good."""
        return self.path(f"/run/systemd/system/{unit}").is_symlink()

    def revive(self, unit: str = UNIT) -> None:
        """Start a unit again that was killed for good."""
        self.systemctl("unmask", "--runtime", "--quiet", unit)
        self.systemctl("reset-failed", check=False)
        self.systemctl("start", unit)

    def set_clock(self, offset: str) -> None:
        """Have the agent, restarted, find the wall clock off by so much, such as "+1d"; empty: right again.

        Durations stay right: what is off is what `date` shows, not how fast it goes.
        """
        drop_in = self.path(f"/etc/systemd/system/{UNIT}.d/70-clock.conf")
        if offset:
            settings = f"LD_PRELOAD=/usr/$LIB/faketime/libfaketimeMT.so.1 FAKETIME={offset}"
            settings += " FAKETIME_DONT_FAKE_MONOTONIC=1"
            drop_in.parent.mkdir(exist_ok=True)
            drop_in.write_text(f"[Service]\nEnvironment={settings}\n")
        else:
            drop_in.unlink(missing_ok=True)
        self.systemctl("daemon-reload")
        self.systemctl("restart", UNIT)

    @property
    def is_on(self) -> bool:
        """Whether anything runs in it."""
        try:
            return "populated 1" in (self._groups[0] / "cgroup.events").read_text()
        except FileNotFoundError:
            return False

    # --- Inside ---

    def argv(self, *argv: str) -> list[str]:
        """The command line that runs a command in the head, as root, in its own control group."""
        join = 'mkdir -p "$0" && echo $$ > "$0/cgroup.procs" && exec "$@"'
        group = str(self._groups[0] / "payload/entered")
        enter = ["nsenter", "-t", str(self._leader), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w", "--"]
        return ["sh", "-c", join, group, *enter, "env", "-i", *_ENVIRONMENT, *self.environment, *argv]

    def run(self, *argv: str, stdin: str | None = None, check: bool = True, timeout: float = 60.0) -> Done:
        """Run a command in the head as root; with `check`, a failure raises with what the command printed."""
        done = subprocess.run(
            self.argv(*argv), input=stdin, capture_output=True, text=True, check=False, timeout=timeout
        )
        if check and done.returncode:
            raise RuntimeError(f"{self.name}: {' '.join(argv)}: exit {done.returncode}: {done.stderr}{done.stdout}")
        return done

    def kill_entered(self) -> None:
        """Kill every command that was run in the head from outside, with all that it started: a lost connection."""
        (self._groups[0] / "payload/entered/cgroup.kill").write_text("1")

    def write(self, path: str, text: str | bytes, mode: int = 0o644) -> Path:
        """Write a file in the head; returns where it is as seen from here."""
        place = self.path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text.encode() if isinstance(text, str) else text)
        place.chmod(mode)
        return place

    def path(self, path: str) -> Path:
        """A path in the head as seen from here; before the boot too."""
        base = Path(f"/proc/{self._leader}/root") if self._leader else self.root
        return base / path.lstrip("/")

    def mount_tmpfs(self, path: str, size: str) -> None:
        """Put an empty file system of that size at a path of the head; before the boot."""
        place = self._inner_root / path.lstrip("/")
        self._outside("mkdir", "-p", str(place))
        self._outside("mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "heads", str(place))

    def mount_bind(self, source: Path, path: Path) -> None:
        """Have a directory of this machine at a path of the head; before the boot."""
        place = self._inner_root / str(path).lstrip("/")
        self._outside("mkdir", "-p", str(place))
        self._outside("mount", "--bind", str(source), str(place))

    def systemctl(self, *words: str, check: bool = True) -> str:
        """What systemctl prints in the head."""
        return self.run("systemctl", *words, check=check).stdout.strip()

    def show(self, unit: str, name: str) -> str:
        """One property of a unit."""
        return self.systemctl("show", "--property", name, "--value", unit)

    def journal(self, unit: str = UNIT) -> str:
        """The messages of a unit in the head's journal, one a line."""
        self.run("journalctl", "--sync")
        return self.run("journalctl", "--quiet", "--no-pager", "--output=cat", "--unit", unit).stdout

    @property
    def bus_address(self) -> str:
        """The D-Bus address of the head's system bus, as reached from here."""
        return f"unix:path={self.path('run/dbus/system_bus_socket')}"

    # --- The agent ---

    def configure(self, config: str = "") -> None:
        """Write the agent's configuration and the platform's base.ini, and have the static files follow them.

        `config` comes after what every head has: [files] root and a small min_age stand in it unless it says so.
        """
        own = f"[files]\nroot = {self.store}\nmin_age = 1s\n" if "[files]" not in config else ""
        self.write(CONFIG, f"{own}{config}")
        self.write(
            "/opt/scyld/clusterware/conf/base.ini", f"head.uid = {self.uid}\ndatabase.password = secret\n", 0o600
        )
        self.run("systemd-sysusers")
        self.run("cw-headctl", "config", "apply")

    def start_agent(self, config: str = "") -> None:
        """Configure, enable and start the agent, and wait until it is ready and has read systemd's units.

        On a busy machine it is ready before: it waits two seconds for systemd, and then serves what it can.
        """
        self.configure(config)
        self.systemctl("enable", "--now", "clusterware-head-agent.socket", UNIT)
        wait_for(lambda: self.api("GET", "/head/services").status == 200, f"{self.name} to have read its units")

    def stop_agent(self) -> None:
        """Stop the agent in order, where the head still runs."""
        if self._leader:
            self.systemctl("stop", "clusterware-head-agent.socket", UNIT, check=False)

    def api(
        self, method: str, path: str, body: Any = None, *, token: str = "", on: str = "", timeout: float = 60.0
    ) -> Answer:
        """Ask the agent over its Unix socket, as root; `body` is sent as JSON. `on`: the uid of the head to ask.

        Fails where the answer is not as /openapi.json describes it, unless an agent of another version gave it.
        """
        connection = http.client.HTTPConnection("head", timeout=timeout)
        with socket.socket(socket.AF_UNIX) as connection.sock:
            connection.sock.settimeout(timeout)
            connection.sock.connect(str(self.path(SOCKET)))
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            headers |= {"X-Head": on} if on else {}
            connection.request(method, f"/api/v1{path}", None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            text = response.read()
        if not on and self._is_of_this_version:
            check(method, path, response.status, dict(response.getheaders()), text)
        return Answer(response.status, dict(response.getheaders()), json.loads(text) if text else None)

    @property
    def _is_of_this_version(self) -> bool:
        return f'"{__version__}"' in self.path("/usr/lib/clusterware-head-agent/agent/__init__.py").read_text()

    # --- How it works ---

    @property
    def _console(self) -> Path:
        return self.root.parent / "console"

    def _outside(self, *argv: str) -> None:
        subprocess.run([*self._namespaces, *argv], check=True, capture_output=True, timeout=30)

    def _booted(self) -> bool:
        if not self.is_on:
            raise RuntimeError(f"{self.name} does not boot: {self._console.read_text(errors='replace')[-2000:]}")
        self._leader = self._find_leader()
        if not self._leader:
            return False
        # Not is-system-running: an etcd that waits for its peers is a job that has not ended.
        return self.run("systemctl", "is-active", "multi-user.target", check=False).stdout.strip() == "active"

    def _find_leader(self) -> int:
        """The head's systemd, by the PID it has here."""
        try:
            for pid in (self._groups[0] / "payload/init.scope/cgroup.procs").read_text().split():
                status = Path(f"/proc/{pid}/status").read_text()
                if next(line for line in status.splitlines() if line.startswith("NSpid")).split()[-1] == "1":
                    return int(pid)
        except FileNotFoundError:
            pass
        return 0

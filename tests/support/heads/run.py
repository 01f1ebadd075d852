"""A run: the keeper, the bridge, and the heads and hosts on it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from uuid import uuid4

from tests.support.heads import keeper, layers
from tests.support.heads.head import Head

NETWORK = "10.77.0"
PLACE = Path("/run/heads")
"""Where a run keeps its files, in the keeper's own /run."""


@dataclass(slots=True)
class Host:
    """A plain machine on the bridge: a network namespace with an address, and this machine's files."""

    name: str
    address: str
    _enter: Sequence[str]

    def run(
        self, *argv: str, stdin: str | None = None, check: bool = True, timeout: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command there; raises CalledProcessError unless `check` is false."""
        return subprocess.run(
            self.argv(*argv), input=stdin, capture_output=True, text=True, check=check, timeout=timeout
        )

    def argv(self, *argv: str) -> list[str]:
        """The command line that runs a command there."""
        return [*self._enter, *argv]


@dataclass(slots=True)
class Heads:
    """All heads and hosts of one run; a context manager, after which nothing of them is left."""

    coverage: Path | None = None
    """Where coverage data of the agents go; None: they are not measured."""
    installed: bool = True
    """Whether the agent is installed in the heads, as `make install` does."""
    _keeper: subprocess.Popen[str] | None = None
    _pid: int = 0
    _groups: list[Path] = field(default_factory=list)
    _layers: list[Path] = field(default_factory=list)
    _machines: dict[str, str] = field(default_factory=dict)
    _heads: list[Head] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: iter(range(10, 255)))

    def __enter__(self) -> Heads:
        if os.geteuid() != 0:
            raise RuntimeError("cannot boot a head: this needs root")
        keeper.sweep()
        self._start_keeper()
        try:
            self._network()
            self._lay()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End everything of this run; may be called twice."""
        if self._keeper is None:
            return
        assert self._keeper.stdin is not None
        assert self._keeper.stdout is not None
        self._keeper.stdin.close()
        self._keeper.wait(30)
        self._keeper.stdout.close()
        for head in self._heads:
            head.reap()
        self._keeper = None

    def boot(
        self, name: str = "head1", *, store_size: str = "256M", state_size: str = "64M", shared: Sequence[Path] = ()
    ) -> Head:
        """Boot a head and wait until its systemd is done; the agent is installed and not started.

        The sizes are those of the file systems of the store and of the agent's state; `shared`: directories of this
        machine that the head has at the same place.
        """
        host = self.host(name)
        place = PLACE / name
        root = layers.mount_root(self._namespaces, self._layers, place)
        outside = Path(f"/proc/{self._pid}/root{root}")
        layers.furnish(outside, name, self._machines)
        groups = [group / name for group in self._groups]
        head = Head(name, host.address, outside, root, groups, self._namespaces)
        if self.coverage:
            head.environment = layers.COVERAGE
        head.mount_tmpfs(head.store, store_size)
        if self.installed:
            head.mount_tmpfs("/var/lib/clusterware-head-agent", state_size)
        if self.coverage:
            head.mount_bind(self.coverage, layers.MEASURED)
        for directory in shared:
            head.mount_bind(directory, directory)
        self._heads.append(head)
        head.power_on()
        return head

    def shut_down(self, head: Head) -> None:
        """End one head, the agent in order first, and forget it."""
        head.stop_agent()
        head.crash()
        self._inside("umount", "--recursive", str(PLACE / head.name / "root"))
        self._inside("rm", "-r", str(PLACE / head.name))
        self._ip(f"netns del {head.name}")
        self._heads.remove(head)
        del self._machines[head.name]

    def host(self, name: str) -> Host:
        """A machine on the bridge; heads are such machines too."""
        if name not in self._machines:
            self._machines[name] = address = f"{NETWORK}.{next(self._numbers)}"
            self._ip(f"netns add {name}", f"-n {name} link set lo up")
            self._ip(f"link add v-{name} type veth peer name eth0 netns {name}", f"link set v-{name} master br0 up")
            self._ip(f"-n {name} addr add {address}/24 dev eth0", f"-n {name} link set eth0 up")
            self._ip(f"-n {name} route add default via {NETWORK}.1")
        return Host(name, self._machines[name], ["nsenter", f"--net=/proc/{self._pid}/root/run/netns/{name}", "--"])

    def cut(self, name: str) -> None:
        """Take a machine off the bridge."""
        self._ip(f"link set v-{name} down")

    def heal(self, name: str) -> None:
        """Put a machine back on the bridge."""
        self._ip(f"link set v-{name} up")

    @property
    def _namespaces(self) -> list[str]:
        return ["nsenter", "-t", str(self._pid), "-m", "-n", "-p", "-r", "--"]

    def _start_keeper(self) -> None:
        argv = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
        if Path("/run/systemd/system").is_dir():
            argv = ["systemd-run", "--scope", "--quiet", "--collect", "--property=Delegate=yes", *argv]
        self._keeper = subprocess.Popen(
            [*argv, "/usr/bin/python3", "-I", keeper.__file__, f"{os.getpid()}.{uuid4().hex[:8]}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._keeper.stdout is not None
        self._groups = [Path(word) for word in self._keeper.stdout.readline().split()]
        if not self._groups:
            self.close()
            raise RuntimeError(
                "cannot boot a head: control groups cannot be made here; in a container, run it privileged"
            )
        children = Path(f"/proc/{self._keeper.pid}/task/{self._keeper.pid}/children").read_text()
        self._pid = int(children.split()[0])

    def _network(self) -> None:
        self._ip("link set lo up", "link add br0 type bridge", f"addr add {NETWORK}.1/24 dev br0", "link set br0 up")

    def _lay(self) -> None:
        place = Path(f"/proc/{self._pid}/root{PLACE}")
        place.mkdir()
        layers.host_layer(place / "host")
        self._layers = [PLACE / "host"]
        if self.installed:
            layers.agent_layer(place / "agent")
            self._layers.insert(0, PLACE / "agent")
        if self.coverage:
            self.coverage.mkdir(parents=True, exist_ok=True)
            self.coverage.chmod(0o777)
            layers.coverage_layer(place / "coverage")
            self._layers.insert(0, PLACE / "coverage")

    def _ip(self, *commands: str) -> None:
        for command in commands:
            self._inside("ip", *command.split())

    def _inside(self, *argv: str) -> None:
        subprocess.run([*self._namespaces, *argv], check=True, capture_output=True, timeout=30)

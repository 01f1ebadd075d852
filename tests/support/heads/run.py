"""A run: the keeper, the bridge, and the heads and hosts on it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from uuid import uuid4

from tests.support.heads import keeper, layers
from tests.support.heads.head import Head
from tests.support.heads.network import Network

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
    network: Network = field(default_factory=Network)
    """The bridge, and what goes wrong on it."""
    _keeper: subprocess.Popen[str] | None = None
    _pid: int = 0
    _groups: list[Path] = field(default_factory=list)
    _layers: list[Path] = field(default_factory=list)
    _heads: list[Head] = field(default_factory=list)

    def __enter__(self) -> Heads:
        if os.geteuid() != 0:
            raise RuntimeError("cannot boot a head: this needs root")
        keeper.sweep()
        self._start_keeper()
        try:
            self.network.enter = self._namespaces
            self.network.begin()
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
        self._heads.clear()
        self._keeper = None

    @property
    def running(self) -> list[Head]:
        """The heads that are on now."""
        return [head for head in self._heads if head.is_on]

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
        layers.furnish(outside, name, self.network.addresses)
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

    def boot_all(self, *names: str, state_size: str = "2G") -> list[Head]:
        """Boot heads side by side, each knowing the others by name; an etcd takes 64 MiB at a time for its log."""
        for name in names:
            self.network.add(name)
        with ThreadPoolExecutor(len(names)) as pool:
            return list(pool.map(lambda name: self.boot(name, state_size=state_size), names))

    def power_off(self, head: Head) -> None:
        """Have a head go without a word: no process says good-bye and no kernel answers for it any more."""
        self.network.cut(head.name)
        head.crash()

    def power_on(self, head: Head) -> None:
        """Boot a head again that was switched off; what is enabled in it starts."""
        self.network.heal(head.name)
        head.power_on()

    def shut_down_all(self, heads: Sequence[Head]) -> None:
        """End several heads side by side."""
        with ThreadPoolExecutor(max(1, len(heads))) as pool:
            list(pool.map(self.shut_down, heads))

    def shut_down(self, head: Head) -> None:
        """End one head, the agent in order first, and forget it."""
        head.stop_agent()
        head.crash()
        self._inside("umount", "--recursive", str(PLACE / head.name / "root"))
        self._inside("rm", "-r", str(PLACE / head.name))
        self.network.remove(head.name)
        self._heads.remove(head)

    def host(self, name: str) -> Host:
        """A machine on the bridge; heads are such machines too."""
        address = self.network.add(name)
        return Host(name, address, ["nsenter", f"--net=/proc/{self._pid}/root/run/netns/{name}", "--"])

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

    def _inside(self, *argv: str) -> None:
        subprocess.run([*self._namespaces, *argv], check=True, capture_output=True, timeout=30)

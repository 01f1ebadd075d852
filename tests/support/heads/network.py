"""The network of a run: one bridge, a port for each machine, and what can go wrong on the wires.

A link is a pair of machines in one direction. Packets are lost where they arrive, in the receiver's own namespace, so
that the sender never learns of it and each direction is apart. (These kernels have no netem.)
"""

from __future__ import annotations

import subprocess
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path

NETWORK = "10.77.0"
RESERVED = "/net/ipv4/ip_local_reserved_ports"
SYSCTL = Path(__file__).parents[3] / "packaging/clusterware-head-agent.sysctl"


def reserved_ports() -> str:
    """The ports that the packages have the kernel give to no outgoing connection."""
    return SYSCTL.read_text().rpartition(" = ")[2].strip()


@dataclass(slots=True)
class Network:
    """The bridge and the machines on it; `enter` is the command that enters the namespaces of the run's keeper."""

    enter: Sequence[str] = ()
    addresses: dict[str, str] = field(default_factory=dict)
    """The machines there are, by name."""
    _numbers: Iterator[int] = field(default_factory=lambda: iter(range(10, 255)))
    _lost: dict[tuple[str, str], float] = field(default_factory=dict)
    """The share of packets that is lost, by sender and receiver; links that are not in it are whole."""

    def begin(self) -> None:
        """Make the bridge."""
        self._ip("link set lo up", "link add br0 type bridge", f"addr add {NETWORK}.1/24 dev br0", "link set br0 up")

    def add(self, name: str) -> str:
        """Put a machine on the bridge, where it is not there yet; its address."""
        if name not in self.addresses:
            address = f"{NETWORK}.{next(self._numbers)}"
            self._ip(
                f"netns add {name}",
                f"link add v-{name} type veth peer name eth0 netns {name}",
                f"link set v-{name} master br0 up",
            )
            self._ip(
                "link set lo up",
                f"addr add {address}/24 dev eth0",
                "link set eth0 up",
                f"route add default via {NETWORK}.1",
                inside=name,
            )
            # As systemd-sysctl does on a real head; in a container it may not write there.
            self._do("nsenter", f"--net=/run/netns/{name}", "tee", "/proc/sys" + RESERVED, stdin=reserved_ports())
            self.addresses[name] = address
        return self.addresses[name]

    def remove(self, name: str) -> None:
        """Take a machine away for good."""
        self._ip(f"link del v-{name}", f"netns del {name}")
        del self.addresses[name]
        self._lost = {pair: share for pair, share in self._lost.items() if name not in pair}

    # --- Faults ---

    def cut(self, *names: str) -> None:
        """Pull the cables of these machines: they have no carrier."""
        self._ip(*(f"link set v-{name} down" for name in names))

    def heal(self, *names: str) -> None:
        """Plug them in again."""
        self._ip(*(f"link set v-{name} up" for name in names))

    def lose(self, share: float, senders: Collection[str], receivers: Collection[str]) -> None:
        """Lose this share (0 to 1) of the packets that go from any of the senders to any of the receivers."""
        for sender in senders:
            for receiver in receivers:
                if sender != receiver:
                    self._lost[sender, receiver] = share
        self._render(receivers)

    def cut_one_way(self, sender: str, receiver: str) -> None:
        """Lose everything that one machine sends to another; the way back stays whole."""
        self.lose(1.0, [sender], [receiver])

    def partition(self, *groups: Collection[str]) -> None:
        """Lose everything between machines of different groups, both ways."""
        for one, other in permutations(groups, 2):
            self.lose(1.0, one, other)

    @contextmanager
    def switch_down(self) -> Iterator[None]:
        """Have the bridge forward nothing meanwhile; the machines keep their carrier."""
        self._ip("link set br0 down")
        try:
            yield
        finally:
            self._ip("link set br0 up")

    def repair(self) -> None:
        """Make every link whole, and plug in every machine."""
        lossy = {receiver for _, receiver in self._lost}
        self._lost.clear()
        self._render(lossy)
        self.heal(*self.addresses)

    # --- How it works ---

    def _render(self, receivers: Collection[str]) -> None:
        for receiver in receivers:
            rules = [
                f"-A INPUT -s {self.addresses[sender]}{_chance(share)} -j DROP"
                for (sender, to), share in self._lost.items()
                if to == receiver and share > 0
            ]
            table = "\n".join(["*filter", ":INPUT ACCEPT [0:0]", *rules, "COMMIT", ""])
            self._do("ip", "netns", "exec", receiver, "iptables-restore", stdin=table)

    def _ip(self, *commands: str, inside: str = "") -> None:
        where = ["-n", inside] if inside else []
        self._do("ip", *where, "-batch", "-", stdin="\n".join([*commands, ""]))

    def _do(self, *argv: str, stdin: str) -> None:
        command = [*self.enter, *argv]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=30)
        if done.returncode:
            raise RuntimeError(f"cannot change the network of the heads: {' '.join(argv)}: {done.stderr.strip()}")


def _chance(share: float) -> str:
    return "" if share >= 1 else f" -m statistic --mode random --probability {share:.6f}"

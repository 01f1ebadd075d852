"""The heads, all links between them, and what is measured: how soon the dead are found, and whether the living are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from agent.config import Config, Live
from agent.heads.detector import Turn
from agent.heads.liveness import Standing, State
from agent.heads.members import Members
from tests.simulator.link import Link, Network
from tests.simulator.machine import Machine
from tests.simulator.shared import SharedDatabase
from tests.simulator.world import World, untraced
from tests.support.people import CLUSTER, head

MARGIN = 5.0
"""Seconds, one timeout, for which an absence that is over may still be found: what it kept away is still missing."""


class Awaited(NamedTuple):
    """A change of one head that every other one has to notice."""

    what: str
    state: State
    at: float


@dataclass
class Findings:
    """What came out; latencies in seconds by what had happened."""

    took: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    false_down: list[str] = field(default_factory=list)
    """A head said to be down that lived, with whom, by whom and when."""
    missed: list[str] = field(default_factory=list)
    """What was not noticed in time to be measured."""
    head_hours: float = 0.0

    def add(self, other: Findings) -> None:
        """Take in those of another run."""
        for what, seconds in other.took.items():
            self.took[what] += seconds
        self.false_down += other.false_down
        self.missed += other.missed
        self.head_hours += other.head_hours


class Cluster:
    """Heads that all beat to each other, and the truth about them."""

    def __init__(self, heads: int, seed: int, network: Network, *, shared: bool = False) -> None:
        self.world = World(seed)
        self.database = SharedDatabase(self.world) if shared else None
        self.findings = Findings()
        self.live = Live(Config())
        uids = [f"{number:032d}" for number in range(heads)]
        records = dict.fromkeys(uids, head())
        self.machines = {
            uid: Machine(uid, Members(CLUSTER, uid, records, {}, 1), self.live, self.world, network.loss, self.database)
            for uid in uids
        }
        self.links: dict[tuple[str, str], Link] = {}
        for sender in self.machines.values():
            for receiver in self.machines.values():
                if sender is not receiver:
                    link = Link(self.world, network, sender, receiver)
                    self.links[sender.uid, receiver.uid] = link
                    sender.links.append(link)
                    receiver.inward.append(link)
        self._absent: dict[str, float] = {}
        """Heads that may rightly be called down, and until when; infinite while that lasts."""
        self._awaited: dict[str, dict[str, Awaited]] = defaultdict(dict)
        """By observer and head."""
        self._minority: dict[str, float] = {}
        """Heads that have to notice that they are cut off, and since when."""
        for machine in self.machines.values():
            machine.told = self._told
            machine.start()
        self.world.after(0.0, self._tick)

    @property
    def uids(self) -> list[str]:
        """All heads, in order."""
        return list(self.machines)

    def run(self, seconds: float) -> None:
        """Let so much time pass."""
        self.world.run(seconds)
        self.findings.head_hours += seconds * len(self.machines) / 3600

    @untraced()
    def states(self, observer: str) -> Mapping[str, State]:
        """What a head answers of all heads."""
        machine = self.machines[observer]
        assert machine.detector is not None
        look = machine.verdicts.look if machine.verdicts else machine.detector.look
        outlook = look(machine.members, machine.clock.now())
        return {uid: condition.state for uid, condition in outlook.conditions.items()}

    def leave(self, uid: str) -> None:
        """From now on it is right to call it down."""
        self._absent[uid] = float("inf")

    def come_back(self, uid: str) -> None:
        """From now on it is wrong, once the messages from before are through."""
        self._absent[uid] = min(self._absent.get(uid, 0.0), self.world.now + MARGIN)

    def wait_for(self, what: str, uid: str, state: State, observers: Iterable[str]) -> None:
        """Measure how long each of the observers takes to say that of the head."""
        for observer in observers:
            if observer != uid:
                self._awaited[observer][uid] = Awaited(what, state, self.world.now)

    def wait_for_minority(self, uids: Iterable[str]) -> None:
        """Measure how long each of these takes to know that it is cut off."""
        self._minority = dict.fromkeys(uids, self.world.now)

    def settle_accounts(self) -> None:
        """What has not been noticed by now never was in time."""
        for observer, awaited in self._awaited.items():
            self.findings.missed += [f"{a.what}: {uid} by {observer} since {a.at:.1f}" for uid, a in awaited.items()]
            awaited.clear()
        self.findings.missed += [f"minority: {uid} since {at:.1f}" for uid, at in self._minority.items()]
        self._minority = {}

    def _tick(self) -> None:
        for machine in self.machines.values():
            machine.tick()
        for uid, at in list(self._minority.items()):
            detector = self.machines[uid].detector
            if detector is None or detector.standing is Standing.MINORITY:
                del self._minority[uid]
                self.findings.took["minority noticed"].append(self.world.now - at)
        self.world.after(self.live.config.heartbeat.interval / 4, self._tick)

    def _told(self, observer: Machine, turns: list[Turn]) -> None:
        for turn in turns:
            awaited = self._awaited[observer.uid].get(turn.uid)
            if awaited is not None and awaited.state is turn.after:
                del self._awaited[observer.uid][turn.uid]
                self.findings.took[awaited.what].append(self.world.now - awaited.at)
            if turn.after is State.DOWN and self._absent.get(turn.uid, 0.0) < self.world.now:
                self.findings.false_down.append(f"{turn.uid} by {observer.uid} at {self.world.now:.2f}")

"""One head: its power, its agent's process, and the product's detector inside."""

from __future__ import annotations

from collections.abc import Callable

from agent.config import Live
from agent.heads.beat import Beat
from agent.heads.detector import Detector, Turn
from agent.heads.members import Members
from agent.heads.verdicts import Verdicts
from tests.simulator.link import Link
from tests.simulator.shared import SharedDatabase, finished
from tests.simulator.world import SimulatedClock, World


class Machine:
    """A head that is on or off, whose agent runs, hangs or is stopped."""

    def __init__(
        self, uid: str, members: Members, live: Live, world: World, loss: float, database: SharedDatabase | None
    ) -> None:
        self.uid = uid
        self.members = members
        self.links: list[Link] = []
        """Those on which it sends."""
        self.inward: list[Link] = []
        self.powered = False
        self.frozen = False
        self.detector: Detector | None = None
        """None while no agent runs."""
        self.verdicts: Verdicts | None = None
        """Where the heads share a database."""
        self.clock = SimulatedClock(world, world.random.uniform(0, 1e6))
        self.told: Callable[[Machine, list[Turn]], None] = lambda _machine, _turns: None
        self._live = live
        self._world = world
        self._loss = loss
        self._database = database
        self._inbox: list[Beat] = []
        self._owes_beat = False

    @property
    def listens(self) -> bool:
        """Whether it has an agent, be it one that hangs."""
        return self.detector is not None

    def start(self) -> None:
        """Switch it on, or start its agent."""
        self.powered, self.frozen, self._inbox, self._owes_beat = True, False, [], False
        boot = f"{self._world.random.getrandbits(64):016x}"
        self.detector = Detector(lambda: self.members, self.uid, self._live, self.clock, boot)
        self.detector.on_change(lambda turns: self.told(self, turns))
        if self._database is not None:
            store = self._database.open(self.uid)
            self.verdicts = Verdicts(store, store, lambda: self.members, self.detector, self.clock)
        for link in self.inward:
            link.reset()
        for link in self.links:
            link.connect()
        self._world.after(self._world.random.uniform(0, self._live.config.heartbeat.interval), self._beat, boot)

    def kill(self) -> None:
        """End its agent without a word; the kernel ends the connections."""
        self.detector, self.frozen = None, False
        for link in self.links:
            link.close()
        for link in self.inward:
            link.reset()

    def stop(self) -> None:
        """Stop its agent in order. It leaves its last words a moment to be heard."""
        assert self.detector is not None
        self._send(self.detector.farewell())
        self.detector = None
        self._world.after(1.0, self._end_connections)

    def switch_off(self) -> None:
        """Take its power: nobody is told."""
        self.powered, self.detector, self.frozen = False, None, False
        for link in self.links:
            link.close()
        for link in self.inward:
            link.cut(0)  # not clear any more

    def freeze(self) -> None:
        """SIGSTOP: the kernel goes on taking what is sent to it."""
        self.frozen = True

    def thaw(self) -> None:
        """SIGCONT: what has piled up is read at once, before or after the agent's loop looks at the clock."""
        if not self.frozen or self.detector is None:
            return
        self.frozen = False
        inbox, self._inbox = self._inbox, []
        if self._world.random.random() < 0.5:
            self.detector.tick()
        for beat in inbox:
            self.take(beat)
        if self._owes_beat:
            self._owes_beat = False
            self._beat(self.detector.boot)

    def take(self, beat: Beat) -> None:
        """Receive a beat."""
        if self.frozen:
            self._inbox.append(beat)
        elif self.detector is not None:
            self.detector.heard(beat, self.clock.monotonic())

    def greet(self, link: Link) -> None:
        """Beat at once over a link that has just been opened."""
        if self.detector is not None and not self.frozen:
            link.send(self.detector.next_beat())

    def tick(self) -> None:
        """Let the agent's loop turn."""
        if self.detector is not None and not self.frozen:
            self.detector.tick()
            self.agree()

    def agree(self) -> None:
        """Let the loop of the verdicts turn, if something has woken it."""
        if self.verdicts is not None and self.verdicts.changed.is_set() and self.detector and not self.frozen:
            self.verdicts.changed.clear()
            finished(self.verdicts.reconcile())

    def _beat(self, boot: str) -> None:
        if self.detector is None or self.detector.boot != boot:
            return
        if self.frozen:
            self._owes_beat = True
            return
        self._send(self.detector.next_beat())
        interval = self._live.config.heartbeat.interval
        self._world.after(interval * self._world.random.uniform(0.9, 1.1), self._beat, boot)

    def _send(self, beat: Beat) -> None:
        chance, loss = self._world.random.random, self._loss
        for link in self.links:
            if not link.clear:
                link.send(beat)
            elif chance() >= loss:
                link.receiver.take(beat)
            else:
                link.lose(beat)

    def _end_connections(self) -> None:
        if self.detector is None:
            self.kill()

"""One direction of heartbeats between two heads: a TCP connection, modelled by what its losses do to the beats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.adapters.peers.exchange import CONNECT
from agent.adapters.peers.link import KNOCK
from agent.adapters.peers.members import SILENCE
from agent.heads.beat import Beat
from agent.heads.heartbeat import LATER, SOON
from tests.simulator.world import World

if TYPE_CHECKING:
    from tests.simulator.machine import Machine

_FLIGHTS = 4
"""Packets in a row that a connection needs for TLS and WebSocket, after TCP's own two and before its first beat."""


@dataclass(frozen=True)
class Network:
    """How the network is; seconds."""

    loss: float = 0.0
    """The share of packets that are lost, each way."""
    retransmission: float = 0.2
    """The first wait of TCP for an acknowledgement; it doubles ..."""
    linear: int = 6
    """... after so many: with TCP_THIN_LINEAR_TIMEOUTS they are six."""
    user_timeout: float = SILENCE
    """TCP_USER_TIMEOUT: so long unacknowledged, a connection is given up."""
    knock: float = KNOCK
    """How long the first packet of an attempt to connect is waited for to be answered."""
    connecting: float = CONNECT
    """How long the attempt may take once it was."""
    soon: float = SOON
    """Before the second attempt; doubled before each further one ..."""
    later: float = LATER
    """... up to this, where somebody answers and does not take the link."""
    datagrams: bool = False
    """Not TCP: what is lost is lost. Harder than what the heads have."""


class Link:
    """Carries beats from one machine to another."""

    def __init__(self, world: World, network: Network, sender: Machine, receiver: Machine) -> None:
        self.sender = sender
        self.receiver = receiver
        self.clear = False
        """Connected, nothing in its way and nothing waiting: then only chance can lose a beat."""
        self._world = world
        self._network = network
        self._cuts = 0
        self._return_cuts = 0
        self._connected = False
        self._waiting: list[Beat] = []
        """Unacknowledged and behind each other: the first holds up all."""
        self._first_sent = 0.0
        self._retries = 0
        self._unacknowledged: float | None = None
        self._pause = network.soon
        self._connection = 0
        """Counts connections, so that what was meant for a former one is dropped."""

    def cut(self, change: int, *, forth: bool = True, back: bool = True) -> None:
        """Cut it (1) or mend it (-1), one way or both; cuts add up."""
        self._cuts += change * forth
        self._return_cuts += change * back
        self._settle()

    def connect(self) -> None:
        """Begin to connect."""
        self._connected, self._waiting = False, []
        self._connection += 1
        self._settle()
        self._attempt(self._connection)

    def close(self) -> None:
        """Be gone with the sender."""
        self._connected, self._waiting = False, []
        self._connection += 1
        self._settle()

    def reset(self) -> None:
        """Have the other side know nothing of the connection, as after its process has ended."""
        if self._connected:
            self.connect()
        self._settle()

    def send(self, beat: Beat) -> None:
        """Take a beat while the link is not clear."""
        if not self._connected:
            return
        if self._is_given_up():
            self.connect()
        elif self._waiting:
            self._waiting.append(beat)
        elif self._goes_through():
            self.receiver.take(beat)
        else:
            self.lose(beat)

    def lose(self, beat: Beat) -> None:
        """Take a beat whose packet is lost."""
        if not self._network.datagrams:
            self._waiting, self._first_sent, self._retries = [beat], self._world.now, 0
            self._settle()
            self._retry_after(self._network.retransmission)

    def _is_given_up(self) -> bool:
        """Whether nothing was acknowledged for too long, though what was sent arrived."""
        if not self._return_cuts or self._network.datagrams:
            self._unacknowledged = None
        elif self._unacknowledged is None:
            self._unacknowledged = self._world.now
        else:
            return self._world.now - self._unacknowledged >= self._network.user_timeout
        return False

    def _retry_after(self, wait: float) -> None:
        left = self._first_sent + self._network.user_timeout - self._world.now
        self._retries += 1
        longer = wait if self._retries <= self._network.linear else wait * 2
        self._world.after(min(wait, left), self._retry, self._connection, longer)

    def _retry(self, connection: int, wait: float) -> None:
        if connection != self._connection:
            return
        if self._goes_through():
            beats, self._waiting = self._waiting, []
            self._settle()
            for beat in beats:  # all that was held up comes at once
                self.receiver.take(beat)
        elif self._world.now - self._first_sent >= self._network.user_timeout - 1e-6:
            self.connect()
        else:
            self._retry_after(wait)

    def _attempt(self, connection: int, knocked: float = 0.0) -> None:
        """Send the first packet: without an answer soon the attempt is begun anew, which is a new first packet."""
        network = self._network
        if connection != self._connection:
            return
        if not self._is_answered():
            if knocked < network.connecting:
                self._world.after(network.knock, self._attempt, connection, knocked + network.knock)
            else:
                self._pause = network.soon
                self._attempt_later(connection)
        elif not self.receiver.listens:
            self._attempt_later(connection)
        else:
            takes = self._time_to_open()
            if self.receiver.frozen or takes > network.connecting:
                self._pause = network.soon
                self._world.after(network.connecting, self._attempt_later, connection)
            else:
                self._world.after(takes, self._open, connection)

    def _attempt_later(self, connection: int) -> None:
        self._world.after(self._pause * self._world.random.uniform(0.5, 1), self._attempt, connection)
        self._pause = min(2 * self._pause, self._network.later)

    def _open(self, connection: int) -> None:
        if connection != self._connection:
            return
        if self._cuts or self._return_cuts or not self.receiver.powered:  # cut off meanwhile
            self._world.after(self._network.user_timeout, self._attempt_later, connection)
            return
        self._connected, self._unacknowledged, self._pause = True, None, self._network.soon
        self._settle()
        self.sender.greet(self)

    def _is_answered(self) -> bool:
        """Whether a first packet and the answer to it arrive."""
        chance, loss = self._world.random.random, self._network.loss
        way = not self._cuts and not self._return_cuts and self.receiver.powered
        return way and chance() >= loss and chance() >= loss

    def _time_to_open(self) -> float:
        """Seconds for TLS and WebSocket once TCP is connected; none of these packets goes twice without a wait."""
        total = 0.0
        for _ in range(_FLIGHTS):
            wait = self._network.retransmission
            while self._world.random.random() < self._network.loss:
                total, wait = total + wait, wait * 2
        return total

    def _goes_through(self) -> bool:
        open_way = not self._cuts and self.receiver.powered
        return open_way and self._world.random.random() >= self._network.loss

    def _settle(self) -> None:
        self.clear = self._connected and not (
            self._waiting or self._cuts or self._return_cuts or not self.receiver.powered
        )

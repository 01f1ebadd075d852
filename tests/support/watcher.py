"""A head's detector with a clock that stands still, and the other heads as far as they beat to it."""

from __future__ import annotations

import msgspec
import pytest

from agent.config import Config, Live
from agent.heads.beat import Beat
from agent.heads.detector import Detector, Turn
from agent.heads.liveness import Outlook, Standing, State
from agent.heads.members import Members
from tests.support.clock import StillClock
from tests.support.people import ME, OTHER, PEER, Roster, head, members


def people(*uids: str) -> Members:
    return members({uid: head() for uid in uids})


class Watcher:
    """This head's detector, and the other heads as far as they beat to it."""

    def __init__(self, *uids: str) -> None:
        self.clock = StillClock()
        self.roster = Roster(people(*uids))
        self.live = Live(Config())
        self.detector = Detector(self.roster, ME, self.live, self.clock, "boot")
        self.turns: list[Turn] = []
        self.detector.on_change(self.turns.extend)
        self.seq = dict.fromkeys(uids, 0)
        self.boots = dict.fromkeys(uids, "first")

    def beat(self, uid: str, heard: dict[str, float] | None = None, **fields: object) -> Beat:
        self.seq[uid] += 1
        beat = msgspec.structs.replace(Beat(uid, self.boots[uid], self.seq[uid], heard or {}), **fields)
        self.detector.heard(beat, self.clock.monotonic())
        return beat

    def wait(self, seconds: float, *beating: str, heard: dict[str, float] | None = None) -> None:
        """Let time pass, quarter second by quarter second; once a second those heads beat."""
        for quarter in range(round(seconds * 4)):
            self.clock.move(0.25)
            self.detector.tick()
            if quarter % 4 == 3:
                for uid in beating:
                    self.beat(uid, heard)

    def sleep(self, seconds: float) -> None:
        """This head's process is held up."""
        self.clock.move(seconds)

    def look(self) -> Outlook:
        assert isinstance(self.roster.now, Members)
        return self.detector.look(self.roster.now, self.clock.now())

    def __getitem__(self, uid: str) -> State:
        return self.look().conditions[uid].state

    @property
    def standing(self) -> Standing:
        return self.look().standing


@pytest.fixture
def three() -> Watcher:
    """One of three heads; all are up."""
    watcher = Watcher(PEER, OTHER)
    watcher.wait(3, PEER, OTHER)
    assert (watcher[PEER], watcher[OTHER], watcher.standing) == (State.UP, State.UP, Standing.MAJORITY)
    return watcher

"""What one head knows of another: its beats, when they came, and what was said of it."""

from __future__ import annotations

from collections import deque

from agent.heads.beat import Beat
from agent.heads.liveness import State
from agent.heads.verdict import Evidence, Patience

NEVER = float("-inf")
FLAPS = 5
"""So many convictions that the head itself disproved ..."""
FLAPPING = 60.0
"""... within so many timeouts make it a flapping one."""
_OLD_BOOTS = 8


class Peer:
    """One other head; times are monotonic seconds of this one."""

    __slots__ = (
        "_counted",
        "_fell",
        "_flaps",
        "_hearsay",
        "_old_boots",
        "_slandered",
        "beat",
        "boot",
        "came",
        "direct",
        "heard",
        "last_seen",
        "row",
        "seq",
        "since",
        "state",
        "stopped",
        "turned",
        "uid",
        "watched",
    )

    def __init__(self, uid: str, watched: float) -> None:
        self.uid = uid
        self.watched = watched
        """Since when it has been a member, as far as this head knows."""
        self.came = NEVER
        """When it was let in, where this head saw that: what others know from before is of a former membership."""
        self.state = State.UNKNOWN
        self.since: str | None = None
        """When it came to be in this state, RFC 3339 by this head's wall clock; None where it never changed."""
        self.turned = watched
        """The same, monotonic."""
        self.last_seen: str | None = None
        """RFC 3339: fixed when it falls silent."""
        self.boot = ""
        self.seq = -1
        self.beat: Beat | None = None
        """Its last beat."""
        self.direct = NEVER
        """When this head last heard it itself."""
        self.heard = NEVER
        """When anybody did, as far as was looked up."""
        self.stopped: float | None = None
        """When it said that it stops; None as soon as it is heard again."""
        self.row = 0
        self._counted = NEVER
        self._hearsay = False
        """Only others say that it stopped; it has not said so here."""
        self._slandered = ""
        """The run that was said to have stopped, and beat here after that."""
        self._fell = ""
        """The run that was found to be down by its silence."""
        self._old_boots: deque[str] = deque(maxlen=_OLD_BOOTS)
        self._flaps: deque[float] = deque(maxlen=FLAPS)

    def is_new(self, beat: Beat) -> bool:
        """Whether nothing newer came from it: the beat of a former run, or one overtaken, tells nothing."""
        if beat.boot == self.boot:
            return beat.seq > self.seq and (self.stopped is None or self._hearsay)
        return beat.boot not in self._old_boots

    def take(self, beat: Beat, moment: float) -> None:
        """Note a beat that came at `moment`."""
        if beat.boot != self.boot:
            self._begin(beat.boot)
        elif self.stopped is not None:
            self._slandered, self.stopped = beat.boot, None
        self.seq = beat.seq
        self.beat = beat
        if moment > self.direct:
            self.direct = moment
        if beat.stopping:
            self.stop(moment)

    def stop(self, moment: float) -> None:
        """Note that its present run has ended in order."""
        self.stopped, self._hearsay = moment, False
        self.hear(moment)

    def stop_elsewhere(self, boot: str, moment: float, *, hears: bool) -> bool:
        """Note that it told another head so; of a run that this head never heard, only if it heard none later.

        A head of which that was once not true is believed itself, as long as this one `hears` it.
        """
        if self.stopped is not None or boot in self._old_boots or (boot != self.boot and self.heard > moment):
            return False
        if moment < self.came:
            return False
        if hears and boot == self._slandered:
            return False
        if boot != self.boot:
            self._begin(boot)
        self.stop(moment)
        self._hearsay = True
        return True

    def hear(self, moment: float) -> None:
        """Note that somebody heard it at `moment`."""
        if moment > self.heard and moment >= self.came:
            self.heard = moment

    def hear_anew(self, moment: float) -> None:
        """Note that others hear it surely since `moment`: if it had stopped before, it has started again."""
        if self.stopped is not None and moment > self.stopped:
            self._begin("")

    def count(self, patience: Patience) -> None:
        """Count the beats in a row of a head that is not up; those that came in a burst are one."""
        since = self.heard - self._counted
        if self.heard <= self.turned or self.stopped is not None or since < patience.interval / 2:
            return
        self.row = self.row + 1 if since < patience.suspect else 1
        self._counted = self.heard

    def evidence(self, now: float, patience: Patience) -> Evidence:
        """What the verdict on it rests on."""
        return Evidence(
            self.state,
            None if self.heard == NEVER else self.heard,
            self.row,
            self.stopped is not None,
            len(self._flaps) == FLAPS and now - self._flaps[0] < FLAPPING * patience.timeout,
            self.watched,
        )

    def turn(self, state: State, now: float) -> None:
        """Have it be in another state from now on."""
        if state is State.DOWN:
            self._fell = "" if self.stopped is not None else self.boot
        elif self.state is State.DOWN and self.row and self.boot == self._fell:
            self._flaps.append(now)
        if not (self.state is State.DOWN and state is State.SUSPECT):  # that is the first beat of a row
            self.row = 0
        self.state = state
        self.turned = now

    def _begin(self, boot: str) -> None:
        if self.boot:
            self._old_boots.append(self.boot)
        self.boot, self.seq, self.stopped = boot, -1, None

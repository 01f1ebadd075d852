"""The detector: takes the heartbeats of the other heads, and says who is up and who is not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import uuid4

from agent import __version__
from agent.config import Live
from agent.errors import Unavailable
from agent.heads.beat import PROTOCOL, Beat
from agent.heads.hearsay import hearers, is_news, look_up, note_reports, note_stops
from agent.heads.liveness import Condition, Outlook, Standing, State, standing
from agent.heads.members import Members
from agent.heads.peer import NEVER, Peer
from agent.heads.verdict import Evidence, Health, Patience, is_silent, verdict
from agent.log import unasked
from agent.model import rfc3339
from agent.ports import Clock

TICKS = 4
"""How often in an interval the detector has to be called by a loop, which is how it notices that it was held up."""
_LATE = 1 + 1 / TICKS
"""Intervals between two ticks of which the later one comes an interval late: then this head was held up."""
ARRIVAL = 60.0
"""Seconds that a head may say nothing after it was let in: etcd takes a new member after a while only."""
_TOLD_FOR = 20.0
"""Timeouts for which a beat goes on telling when its sender last heard a head."""


class Turn(NamedTuple):
    """A head's change from one state to another."""

    uid: str
    before: State
    after: State


class Judgement(NamedTuple):
    """What one head by itself says of another, and what that rests on."""

    state: State
    since: str | None
    last_seen: str | None
    boot: str
    seq: int
    clean: bool
    """Whether it said that it stops."""
    turned: float
    """Since when, monotonic."""
    hears: bool
    """Whether this head hears it itself."""


class Detector:
    """Judges the heads by when they were last heard, by this head or, so they say, by others.

    It needs no loop of its own: `heard` takes each beat that comes, `tick` is called `TICKS` times an interval.
    """

    def __init__(
        self, roster: Callable[[], Members], self_uid: str, live: Live, clock: Clock, boot: str | None = None
    ) -> None:
        self.self_uid = self_uid
        self.boot = boot or uuid4().hex
        self.standing = Standing.ALONE
        self.declared = Standing.ALONE
        """What people are told of it: in the minority only after a timeout, as heads are heard one after the other."""
        self._roster = roster
        self._live = live
        self._clock = clock
        self._seq = 0
        self._started = clock.now()
        self._peers: dict[str, Peer] = {}
        self._members: Members | None = None
        self._uids: frozenset[str] = frozenset()
        """All members, this head among them while it is one."""
        self._troubled: list[Peer] = []
        """The peers that are not up; of the others a beat tells nothing new."""
        self._callbacks: list[Callable[[list[Turn]], None]] = []
        now = clock.monotonic()
        self._ticked = now
        self._due = now
        """Before this nothing can change unless something is heard; NEVER once the members have changed."""
        self._attentive = now
        self._excused = NEVER
        self._dozed = now
        """When the last gap began; what is read until `_caught_up` may have come at any time since."""
        self._caught_up = NEVER

    @property
    def pause(self) -> float:
        """Seconds between two ticks."""
        return self._live.config.heartbeat.interval / TICKS

    def on_change(self, callback: Callable[[list[Turn]], None]) -> None:
        """Have `callback` called, in the event loop, after heads changed their states."""
        self._callbacks.append(callback)

    def heard(self, beat: Beat, now: float) -> None:
        """Take a beat that came at monotonic second `now`, from the head that it names."""
        self._notice_gap(now)
        peer = self._peers.get(beat.head)
        if peer is None:
            self._follow()
            peer = self._peers.get(beat.head)
        if peer is None or not peer.is_new(beat):
            return
        if beat.boot != peer.boot:
            note_reports(peer, self._peers)  # what its former run told of others would be lost
        peer.take(beat, now if now >= self._caught_up else self._dozed)
        oldest = peer.direct - self._live.config.heartbeat.suspect
        if beat.stopping or note_stops(beat, peer, self._peers, oldest) or is_news(beat, peer, self._troubled):
            self._judge(now)

    def tick(self) -> None:
        """Judge by the time that has passed."""
        now = self._clock.monotonic()
        self._notice_gap(now)
        self._ticked = now
        self._follow()
        if self._due == NEVER or (now >= self._due and not self._all_well(now)):
            self._judge(now)

    def next_beat(self, roster: str = "", *, stopping: bool = False) -> Beat:
        """This head's next beat; `roster` is the digest of its list of heads."""
        self._seq += 1
        now = self._clock.monotonic()
        oldest = now - _TOLD_FOR * self._live.config.heartbeat.timeout
        heard = {uid: round(now - peer.direct, 3) for uid, peer in self._peers.items() if peer.direct > oldest}
        stopped = {p.uid: (p.boot, round(now - p.stopped, 3)) for p in self._troubled if p.stopped is not None}
        return Beat(self.self_uid, self.boot, self._seq, heard, stopped, stopping, roster, PROTOCOL, __version__)

    def farewell(self) -> Beat:
        """This head's last beat, when it stops in order."""
        return self.next_beat(stopping=True)

    def look(self, members: Members, now: datetime) -> Outlook:
        """The outlook on the members at a moment of the wall clock, which only tells how moments are written."""
        moment = self._clock.monotonic()
        self._notice_gap(moment)
        self._follow(members)
        self._judge(moment)
        conditions = {uid: self._condition(uid, moment, now) for uid in members.heads}
        stopped = {p.uid: moment - p.turned for p in self._troubled if p.stopped is not None and p.state is State.DOWN}
        return Outlook(self.standing, "local", conditions, stopped)

    def judgement(self, uid: str) -> Judgement | None:
        """What is said of another head by this one alone, as of the last tick; None for one that is no member."""
        peer = self._peers.get(uid)
        if peer is None:
            return None
        hears = self._clock.monotonic() - peer.direct < self._patience.suspect
        return Judgement(
            peer.state,
            peer.since,
            peer.last_seen,
            peer.boot,
            peer.seq,
            clean=peer.stopped is not None,
            turned=peer.turned,
            hears=hears,
        )

    def last_beat(self, uid: str) -> Beat | None:
        """What that head's last beat told; None where none has come."""
        peer = self._peers.get(uid)
        return peer.beat if peer is not None else None

    def _notice_gap(self, now: float) -> None:
        """If this head was held up, the silence meanwhile was its own. After a long gap it begins anew."""
        if now - self._ticked <= self._live.config.heartbeat.interval * _LATE:
            return
        self._dozed, self._caught_up = self._ticked, now + self._patience.interval / 2
        if now - self._ticked < self._patience.timeout:
            self._excused = now
        else:
            self._turn([(peer, State.UNKNOWN) for peer in self._peers.values()], now)
        self._ticked = self._attentive = self._due = now

    def _follow(self, members: Members | None = None) -> None:
        """Have exactly the other members be peers; while the list cannot be read, those that were."""
        if members is None:
            try:
                members = self._roster()
            except Unavailable:
                return
        if members is self._members:
            return
        before, self._members, self._uids = self._members, members, frozenset(members.heads)
        others = self._uids - {self.self_uid}
        if others == self._peers.keys():
            return
        now, same = self._clock.monotonic(), before is not None and before.cluster == members.cluster
        for uid in others - self._peers.keys():
            peer = self._peers[uid] = Peer(uid, now)
            if same:
                peer.came = now
                peer.watched += ARRIVAL if members.heads[uid].peer_url is not None else 0.0
        self._peers = {uid: self._peers[uid] for uid in sorted(others)}
        self._find_troubled()
        self._due = NEVER

    def _all_well(self, now: float) -> bool:
        """Whether this head itself has heard all peers of late, so that there is nothing to judge."""
        if self._troubled:
            return False
        oldest = min((peer.direct for peer in self._peers.values()), default=now)
        self._due = max(oldest, self._excused) + self._live.config.heartbeat.suspect
        return self._due > now

    def _judge(self, now: float) -> None:
        patience, peers = self._patience, self._peers.values()
        for peer in peers:
            look_up(peer, self._peers, now - patience.suspect, patience.suspect)
            if peer.state is not State.UP:
                peer.count(patience)
        evidence = [peer.evidence(now, patience) for peer in peers]
        own = self._health(evidence, now)
        turns = []
        for peer, of in zip(peers, evidence, strict=True):
            state = verdict(of, now, own, patience)
            if state is not of.state:
                turns.append((peer, state))
        declared, self.declared = self.declared, self._to_declare(now)
        if turns or self.declared is not declared:
            self._turn(turns, now)
        self._due = min((self._next_change(peer, now, patience) for peer in peers), default=now + patience.timeout)

    def _health(self, evidence: list[Evidence], now: float) -> Health:
        """What is to be held of this head itself, its standing among it."""
        patience = self._patience
        own = Health(excused=self._excused)
        silent = [is_silent(of, now, own, patience) for of in evidence]
        heard = [uid for uid, of, gone in zip(self._peers, evidence, silent, strict=True) if not (gone or of.stopped)]
        before, self.standing = self.standing, standing(self._uids, heard, self.self_uid)
        entitled = self.standing is not Standing.MINORITY
        if before is Standing.MINORITY and entitled:
            self._attentive = now
        fallen = sum(  # those that are only just coming back fell with the others
            not of.stopped and (of.state is State.SUSPECT or (of.state is State.UP and gone))
            for of, gone in zip(evidence, silent, strict=True)
        )
        many = fallen > 1 and 2 * fallen >= len(evidence)
        return Health(entitled, self._attentive, self._excused, many)

    def _to_declare(self, now: float) -> Standing:
        fresh = now - self._attentive < self._patience.timeout
        return self.declared if fresh and self.standing is Standing.MINORITY else self.standing

    def _next_change(self, peer: Peer, now: float, patience: Patience) -> float:
        """The earliest moment at which time alone could change what is said of it, or whether it counts as heard."""
        match peer.state:
            case State.UP:
                return max(peer.heard, self._excused) + patience.suspect
            case State.DOWN:
                return float("inf")
            case State.SUSPECT | State.UNKNOWN:
                silence = peer.heard if peer.heard != NEVER else peer.watched
                convicted = max(silence, self._attentive) + patience.timeout
                return min((at for at in (peer.heard + patience.suspect, convicted) if at > now), default=now)

    def _turn(self, turns: list[tuple[Peer, State]], now: float) -> None:
        told, wall = [], self._clock.now()
        for peer, state in turns:
            told.append(Turn(peer.uid, peer.state, state))
            peer.since = rfc3339(wall)
            if peer.heard != NEVER:
                peer.last_seen = rfc3339(wall - timedelta(seconds=now - peer.heard))
            peer.turn(state, now)
        self._find_troubled()
        for callback in self._callbacks:
            unasked(callback, told)  # the beat or the question that it came with is not what it is about

    def _find_troubled(self) -> None:
        self._troubled = [peer for peer in self._peers.values() if peer.state is not State.UP]

    def _condition(self, uid: str, moment: float, now: datetime) -> Condition:
        heard_by = dict(hearers(uid, self._peers, self.self_uid, moment))
        if uid == self.self_uid:
            return Condition(State.UP, rfc3339(now), rfc3339(self._started), heard_by)
        peer = self._peers[uid]
        last_seen = peer.last_seen
        if peer.heard > peer.turned or (peer.state is State.UP and peer.heard != NEVER):
            last_seen = rfc3339(now - timedelta(seconds=moment - peer.heard))
        return Condition(peer.state, last_seen, peer.since, heard_by)

    @property
    def _patience(self) -> Patience:
        given = self._live.config.heartbeat
        return Patience(given.interval, given.suspect, given.timeout)

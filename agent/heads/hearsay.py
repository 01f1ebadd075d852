"""What the beats of one head tell of another: when that one was heard there, and that it said that it stops.

All times are monotonic seconds of this head; `peers` are all other heads, by uid.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from agent.heads.beat import Beat
from agent.heads.liveness import State
from agent.heads.peer import NEVER, Peer


def note_reports(reporter: Peer, peers: Mapping[str, Peer]) -> None:
    """Take over from that peer's last beat when it heard the others."""
    if reporter.beat is not None:
        for uid, age in reporter.beat.heard.items():
            if (peer := peers.get(uid)) is not None:
                peer.hear(reporter.direct - age)


def note_stops(beat: Beat, reporter: Peer, peers: Mapping[str, Peer], oldest: float) -> bool:
    """Believe a head that another one says that it stops, and tell whether that was new.

    One that this head has heard since `oldest` itself is believed itself, where that was once not true of it.
    """
    new = False
    for uid, (boot, age) in beat.stopped.items():
        if (peer := peers.get(uid)) is not None:
            new = peer.stop_elsewhere(boot, reporter.direct - age, hears=peer.direct > oldest) or new
    return new


def is_news(beat: Beat, reporter: Peer, troubled: Sequence[Peer]) -> bool:
    """Whether the beat tells of one of the `troubled`, the peers that are not up, that somebody heard it since."""
    told, moment = beat.heard, reporter.direct
    return any(
        peer is reporter or ((age := told.get(peer.uid)) is not None and moment - age > peer.turned)
        for peer in troubled
    )


def look_up(peer: Peer, peers: Mapping[str, Peer], oldest: float, suspect: float) -> None:
    """Find out when it was last heard: by anybody, if this head has not heard it itself since `oldest`.

    Whoever goes on hearing a head `suspect` seconds after it is said to have stopped hears another run of it.
    """
    peer.hear(peer.direct)
    if peer.heard < oldest or peer.state is not State.UP:
        for reporter in peers.values():
            if reporter.beat is not None and (age := reporter.beat.heard.get(peer.uid)) is not None:
                peer.hear(reporter.direct - age)
                if peer.uid not in reporter.beat.stopped:
                    peer.hear_anew(reporter.direct - age - suspect)


def hearers(uid: str, peers: Mapping[str, Peer], self_uid: str, now: float) -> Iterator[tuple[str, float]]:
    """Who heard it, and how many seconds ago."""
    for other in peers.values():
        if other.uid == uid and other.direct != NEVER:
            yield self_uid, round(now - other.direct, 3)
        elif other.beat is not None and (age := other.beat.heard.get(uid)) is not None:
            yield other.uid, round(now - other.direct + age, 3)

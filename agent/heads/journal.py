"""Says in the journal when another head goes or comes back, and when this one may not judge."""

from __future__ import annotations

import structlog

from agent.heads.detector import Detector, Turn
from agent.heads.liveness import Standing, State

log = structlog.get_logger()


class Journal:
    """Follows a detector; what an operator must act on is a warning."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._standing = Standing.ALONE
        detector.on_change(self._tell)

    def _tell(self, turns: list[Turn]) -> None:
        self._tell_standing()
        for turn in turns:
            self._tell_turn(turn)

    def _tell_turn(self, turn: Turn) -> None:
        judged = self._detector.judgement(turn.uid)
        fields = {"head_uid": turn.uid, "before": str(turn.before), "last_seen": judged.last_seen if judged else None}
        match turn.after:
            case State.DOWN if judged is not None and judged.clean:
                log.info("Head has stopped", **fields)
            case State.DOWN:
                todo = f"start its agent, or, if it will not come back, remove it: `cw-headctl heads evict {turn.uid}`"
                log.warning("Head is down", **fields, todo=todo)
            case State.SUSPECT:
                log.info("Head is suspect", **fields)
            case State.UNKNOWN:
                log.info("Head is unknown", **fields)
            case State.UP:
                log.info("Head is up", **fields)

    def _tell_standing(self) -> None:
        before, self._standing = self._standing, self._detector.declared
        if self._standing is before:
            return
        if self._standing is Standing.MINORITY:
            todo = "look at the network and at the other heads; until then nothing is evicted or removed from here"
            log.warning("Most heads are not heard", todo=todo)
        elif before is Standing.MINORITY:
            log.info("Most heads are heard")

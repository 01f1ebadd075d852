"""Agreed verdicts: with a shared database, what one head found is written there once, and all heads answer it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

import msgspec
import structlog
from msgspec import Struct

from agent.errors import Conflict, NotFound, Stale
from agent.heads.detector import Detector, Judgement
from agent.heads.liveness import Condition, Outlook, Standing, State
from agent.heads.members import Members
from agent.model import Kind, Record
from agent.ports import ABSENT, Change, Clock, Delete, Put, Store, StoreEngine
from agent.records.spec import plain

log = structlog.get_logger()

SHARED = "etcd"
"""The engine whose records all heads share."""
_SETTLING = 5.0
"""Seconds for which this head does not repeat a verdict that another one has taken back."""


class Verdict(Struct, frozen=True):
    """The record: that head was judged down, and by what evidence; there is none for a head that is not."""

    boot: str
    seq: int
    """The last beat that the judge knew."""
    since: str
    by: str
    """The judge's uid."""
    last_seen: str | None = None
    clean: bool = False
    """It had said that it stops."""
    state: State = State.DOWN


class _Known(NamedTuple):
    verdict: Verdict
    revision: int
    noticed: float
    """When this head first read it, monotonic."""


class Verdicts:
    """Writes the verdicts of this head's detector where nobody has yet, takes back those that a head disproves by
    beating, and gives the outlook that they make. Where no database is shared each head keeps to its detector.
    """

    def __init__(
        self, store: Store, engine: StoreEngine, roster: Callable[[], Members], detector: Detector, clock: Clock
    ) -> None:
        self.changed = asyncio.Event()
        """Set when there may be something to write or to read: wakes the loop of `reconcile`."""
        self._store = store
        self._engine = engine
        self._roster = roster
        self._detector = detector
        self._clock = clock
        self._known: Mapping[str, _Known] | None = None
        self._overruled: dict[str, float] = {}
        """When the verdict on a head went that this head still held."""
        store.on_change(self._on_change)
        detector.on_change(lambda _turns: self.changed.set())

    async def reconcile(self) -> None:
        """Read the verdicts, and have them be what they should; raises Unavailable."""
        if self._engine.kind != SHARED:
            self._known = None
            return
        self._take(await self._store.records(Kind.VERDICT))
        if self._store.age is not None:
            return
        for change in self._due(self._roster()):
            try:
                await self._store.commit(change)
            except (Conflict, Stale, NotFound):
                continue  # another head was faster, and its change wakes this loop when it is seen here
            log.debug("Verdict written" if isinstance(change, Put) else "Verdict taken back", head_uid=change.uid)

    def look(self, members: Members, now: datetime) -> Outlook:
        """The outlook that all heads share while they can; else this head's own."""
        local = self._detector.look(members, now)
        if self._known is None or self._engine.kind != SHARED or self._store.age is not None:
            return local
        conditions = {uid: self._agreed(uid, condition) for uid, condition in local.conditions.items()}
        moment = self._clock.monotonic()
        stopped = {
            uid: local.stopped.get(uid, moment - known.noticed)
            for uid, known in self._known.items()
            if known.verdict.clean and uid in members.heads
        }
        return Outlook(local.standing, "agreed", conditions, stopped)

    def _agreed(self, uid: str, local: Condition) -> Condition:
        known = (self._known or {}).get(uid)
        if uid == self._detector.self_uid:
            return local
        if known is not None:
            said = known.verdict
            return Condition(State.DOWN, said.last_seen, said.since, local.heard_by)
        if local.state is State.DOWN:
            return msgspec.structs.replace(local, state=State.SUSPECT)
        return local

    def _take(self, records: list[Record]) -> None:
        now, before, known = self._clock.monotonic(), self._known or {}, {}
        for record in records:
            try:
                verdict = msgspec.convert(record.body, Verdict)
            except msgspec.ValidationError as err:
                log.error("Record unreadable", kind=record.kind, object=record.uid, reason=str(err))
                continue
            noticed = before[record.uid].noticed if record.uid in before else now
            known[record.uid] = _Known(verdict, record.revision, noticed)
        self._overruled.update(dict.fromkeys(before.keys() - known.keys(), now))
        self._known = known

    def _due(self, members: Members) -> Iterator[Change]:
        """What has to be written. Each is decided when the one before it is done, on what is known by then."""
        known = self._known or {}
        for uid in known.keys() - members.heads.keys():
            yield Delete(Kind.VERDICT, uid, known[uid].revision)
        for uid in members.heads:
            judged = self._detector.judgement(uid)
            if judged is None:
                continue
            if uid in known:
                if is_disproved(known[uid].verdict, judged):
                    yield Delete(Kind.VERDICT, uid, known[uid].revision)
            elif self._holds(uid, judged):
                yield Put(Kind.VERDICT, uid, plain(self._verdict(judged)), expect=ABSENT)

    def _holds(self, uid: str, judged: Judgement) -> bool:
        """Whether this head is sure that it is down, also against a head that was of another opinion."""
        if judged.state is not State.DOWN or self._detector.standing is Standing.MINORITY:
            return False
        overruled = self._overruled.get(uid)
        return overruled is None or judged.turned > overruled or self._clock.monotonic() - overruled > _SETTLING

    def _verdict(self, judged: Judgement) -> Verdict:
        since = judged.since or ""
        return Verdict(judged.boot, judged.seq, since, self._detector.self_uid, judged.last_seen, judged.clean)

    def _on_change(self, kinds: frozenset[Kind]) -> None:
        if kinds & {Kind.VERDICT, Kind.HEAD}:
            self.changed.set()


def is_disproved(verdict: Verdict, judged: Judgement) -> bool:
    """Whether a head that was judged down has since been heard, as one that is up, with a beat newer than that."""
    newer = judged.boot != verdict.boot or judged.seq > verdict.seq
    return judged.state is State.UP and judged.hears and newer

"""Locks across the heads: a record that its holder moves on before each step, so that whoever lost it notices.

The record's revision is the fencing token: it grows with each step, and a step whose token is not the record's any
more is refused by compare-and-set. Over an embedded store the same code locks this head alone.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from uuid import uuid4

import msgspec
import structlog
from msgspec import Struct

from agent.errors import AgentError, Conflict, NotFound, Stale, Unavailable
from agent.model import Kind, Record, rfc3339
from agent.ports import ABSENT, Change, Clock, Delete, Put, Store

log = structlog.get_logger()

LAPSE = 60.0
"""Seconds, by the observer's own monotonic clock, after which a lock that has not moved may be taken over."""

_ATTEMPTS = 5
_PAUSES = (0.2, 0.5, 1.0, 2.0)
"""Seconds between tries to give a lock back."""


class Holding(Struct, frozen=True):
    """What a lock's record says: `holder` (a head's uid) does `work` ("clean the database") since then.

    `run` names the holder's run of the agent; `beat` counts its steps.
    """

    work: str
    holder: str
    run: str
    since: str
    beat: int = 0


def lapsed(held: Holding, *, self_uid: str, run: str, forgotten: bool, gone: bool, still: float) -> str | None:
    """Why a lock may be taken over, or None while it holds.

    `forgotten`: this run has no such lock that it knows of; `gone`: the holder is down or no member any more;
    `still`: for how many seconds its revision has been seen not to move.
    """
    if held.holder == self_uid:
        if held.run != run:
            return "it was left by an earlier run of this head's agent"
        return "it was left by this agent" if forgotten else None
    if gone:
        return "the head that holds it is down, or no longer in the cluster"
    if still >= LAPSE:
        return f"the head that holds it has not moved it for {still:.0f} s"
    return None


class Lock:
    """One lock that is held. `token` is its fencing token: the revision of its record."""

    def __init__(self, store: Store, name: str, holding: Holding, token: int) -> None:
        self.token = token
        self._store = store
        self._name = name
        self._holding = holding

    async def renew(self, *changes: Change) -> None:
        """Prove that it is held still, moving it on, and make `changes` in the same commit: all of that or nothing.

        What is read from the store afterwards is at least as new as this moment. Raises Conflict (`lock-lost`) when
        somebody else has taken it over: then stop at once; Unavailable; and what the changes themselves raise.
        """
        moved = msgspec.structs.replace(self._holding, beat=self._holding.beat + 1)
        try:
            self.token = await self._store.commit(_put(self._name, moved, self.token), *changes)
        except (Stale, NotFound, Conflict):
            record = await self._store.get(Kind.LOCK, self._name)
            if record is not None and record.revision == self.token:
                raise  # it was one of the changes
            who = f"head {held.holder}" if record and (held := _read(record)) else "somebody else"
            reason = f"cannot go on to {self._holding.work}: {who} has taken over the lock meanwhile; ask again"
            raise Conflict(reason, code="lock-lost") from None
        self._holding = moved
        if self._store.age is not None:
            raise Unavailable(
                f"cannot go on to {self._holding.work}: what others have changed does not reach this head; ask again",
                code="behind",
            )

    async def release(self) -> None:
        """Give it up, if it is still held. Raises Unavailable: then it lapses in time."""
        record = await self._store.get(Kind.LOCK, self._name)
        held = _read(record) if record else None
        if record is None or held is None or (held.holder, held.run) != (self._holding.holder, self._holding.run):
            return
        try:
            await self._store.commit(Delete(Kind.LOCK, self._name, expect=record.revision))
        except (Stale, NotFound):
            log.warning("Lock taken over at its end", lock=self._name)


class Locks:
    """This head's way to the locks. `gone` tells of a head whether it is down or no member any more."""

    def __init__(self, store: Store, self_uid: str, clock: Clock, gone: Callable[[str], bool]) -> None:
        self._store = store
        self._self_uid = self_uid
        self._clock = clock
        self._gone = gone
        self._run = uuid4().hex
        self._held: set[str] = set()
        self._seen: dict[str, tuple[int, float]] = {}
        """By lock: the revision seen last, and since when, in monotonic seconds."""

    async def acquire(self, name: str, work: str) -> Lock:
        """Take the lock; raises Conflict (`busy`, naming who holds it and what for) or Unavailable."""
        for _ in range(_ATTEMPTS):
            record = await self._store.get(Kind.LOCK, name)
            if record is not None:
                self._judge(record, work)
            holding = Holding(work, self._self_uid, self._run, rfc3339(self._clock.now()))
            expect = record.revision if record else ABSENT
            try:
                token = await self._store.commit(_put(name, holding, expect))
            except (Conflict, Stale, NotFound):
                continue  # somebody was faster
            self._held.add(name)
            return Lock(self._store, name, holding, token)
        raise Conflict(f"cannot {work}: other heads ask for the same lock all the time; try again", code="busy")

    @contextlib.asynccontextmanager
    async def holding(self, name: str, work: str) -> AsyncIterator[Lock]:
        """Hold the lock for as long as the block takes; raises as `acquire` does."""
        lock = await self.acquire(name, work)
        try:
            yield lock
        finally:
            try:
                await _give_back(lock, name)
            finally:
                self._held.discard(name)  # not before: whoever takes it here meanwhile would have it given back

    async def give_back_left(self, name: str) -> None:
        """Give back a lock that this head left when its store was away, so that nobody waits until it has lapsed.

        Raises Unavailable.
        """
        record = await self._store.get(Kind.LOCK, name)
        if record is not None and holder(record) == self._self_uid and name not in self._held:
            with contextlib.suppress(Stale, NotFound):
                await self._store.commit(Delete(Kind.LOCK, name, expect=record.revision))

    def _judge(self, record: Record, work: str) -> None:
        """Raises Conflict unless the lock has lapsed."""
        revision, since = self._seen.get(record.uid, (0, 0.0))
        if revision != record.revision:
            since = self._clock.monotonic()
            self._seen[record.uid] = record.revision, since
        still = self._clock.monotonic() - since
        held = _read(record)
        if held is None:
            why = "it cannot be read, and does not move" if still >= LAPSE else None
        else:
            forgotten = record.uid not in self._held
            gone = held.holder != self._self_uid and self._gone(held.holder)
            why = lapsed(held, self_uid=self._self_uid, run=self._run, forgotten=forgotten, gone=gone, still=still)
        if why is None:
            raise _busy(held, work)
        log.warning("Lock taken over", lock=record.uid, reason=why, work=work, before=held.work if held else None)


async def _give_back(lock: Lock, name: str) -> None:
    """Release a lock, patiently: what was done under it may have been the restart of a member of the store."""
    for pause in (*_PAUSES, None):
        try:
            await lock.release()
        except AgentError as err:
            if pause is None or not isinstance(err, Unavailable):
                log.warning("Lock not given back: it lapses by itself", lock=name, reason=err.reason)
                return
            await asyncio.sleep(pause)
        else:
            return


def holder(record: Record) -> str | None:
    """The uid of the head that holds a lock; None where its record cannot be read."""
    held = _read(record)
    return held.holder if held else None


def _busy(held: Holding | None, work: str) -> Conflict:
    if held is None:
        reason = f"cannot {work}: the lock is held by somebody whom this agent does not understand; try again later"
        return Conflict(reason, code="busy")
    reason = f"cannot {work}: head {held.holder} has the lock, to {held.work}, since {held.since}; wait for that to end"
    return Conflict(reason, code="busy", data={"holder": held.holder, "work": held.work, "since": held.since})


def _put(name: str, holding: Holding, expect: int) -> Put:
    return Put(Kind.LOCK, name, msgspec.to_builtins(holding), expect=expect)


def _read(record: Record) -> Holding | None:
    try:
        return msgspec.convert(record.body, Holding)
    except msgspec.ValidationError:
        return None

"""How heads that keep a list of heads each come to have the same: who sees another digest asks, and merges."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from datetime import timedelta

import msgspec
import structlog

from agent.config import Live
from agent.errors import AgentError, Conflict, NotFound, Stale
from agent.heads.record import HEADS
from agent.heads.registry import HeadRegistry
from agent.heads.roster import Entry, Listing, Roster, credible, listing, merged, of_listing, of_records
from agent.model import Kind, Record, rfc3339
from agent.ports import ABSENT, Change, Clock, Delete, Peers, Put, Store
from agent.records import put, until_settled
from agent.records.shape import CLUSTER

log = structlog.get_logger()

_REVIVED = (
    "another head says that it has joined again; if nobody had it join, remove it, and whichever head let it in: "
    "`cw-headctl heads evict`, then `cw-headctl ca rotate`"
)

PATH = "/head/roster"
MOST_LISTED = 1000
"""A list with more heads, present or gone, is not taken over: nobody has so many, and each is work for every head."""
SHORTEST, LONGEST = 0.1, 60.0
"""Seconds that a head is left alone whose list could not be merged: doubled from the one to the other."""
_SCATTER = 0.1
"""Seconds within which heads that all see a change ask, each at its own moment."""


class Gossip:
    """Keeps this head's list equal to the others', while the engine does not share it: then `digest` is empty."""

    def __init__(
        self,
        live: Live,
        store: Store,
        registry: HeadRegistry,
        peers: Peers,
        clock: Clock,
        engine: Callable[[], str],
    ) -> None:
        self._live = live
        self._store = store
        self._registry = registry
        self._peers = peers
        self._clock = clock
        self._engine = engine
        self._differing: dict[str, str] = {}
        """What other heads' beats said last, where it was not what this head has."""
        self._merged: dict[str, tuple[str, str]] = {}
        """Of each head that was asked, the two digests that have nothing more to tell each other."""
        self._left_alone: dict[str, tuple[float, float]] = {}
        """Heads whose list could not be had or not be merged: until when they are not asked, and how long that is."""
        self._wake = asyncio.Event()

    @property
    def digest(self) -> str:
        """What this head's beats say of its list; raises Unavailable."""
        return self._registry.members.digest if self._engine() == "sqlite" else ""

    def compare(self, uid: str, theirs: str) -> None:
        """Take a digest from a beat, and ask that head if it is another one; raises Unavailable."""
        ours = self.digest
        if self._clock.monotonic() < self._left_alone.get(uid, (0.0, 0.0))[0]:
            return
        if theirs and ours and theirs != ours and self._merged.get(uid) != (theirs, ours):
            self._differing[uid] = theirs
            self._wake.set()

    async def run(self) -> None:
        """Ask heads whose lists differ, for ever; what fails is tried again with their next beat."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await asyncio.sleep(random.uniform(0, _SCATTER))
            while self._differing:
                uid, theirs = self._differing.popitem()
                try:
                    await self._learn(uid, theirs)
                except AgentError as err:
                    self._leave_alone(uid)
                    log.debug("List of heads not learned", peer=uid, reason=err.reason)

    def _leave_alone(self, uid: str) -> None:
        """For longer each time: what one head says, in whatever way it is wrong, must not keep the others busy."""
        _, before = self._left_alone.get(uid, (0.0, 0.0))
        pause = min(max(SHORTEST, 2 * before), LONGEST)
        self._left_alone[uid] = self._clock.monotonic() + pause, pause

    async def listing(self) -> Listing:
        """This head's list as it is sent; raises Unavailable."""
        heads, tombstones = await self._store.records(Kind.HEAD), await self._store.records(Kind.TOMBSTONE)
        return listing(self._registry.members.cluster, heads, tombstones)

    async def merge(self, theirs: Roster, cluster: str) -> list[str]:
        """Take over what is newer in another head's list, and tell of which heads; raises Unavailable, Conflict.

        Nothing once this head is not in that `cluster` any more: it may leave at any moment.
        """

        async def attempt() -> list[str]:
            here = await self._store.get(Kind.CLUSTER, CLUSTER)
            if here is None or here.body["id"] != cluster:
                return []
            heads, tombstones = await self._store.records(Kind.HEAD), await self._store.records(Kind.TOMBSTONE)
            known = {r.uid for r in (*heads, *tombstones)}
            told = credible(self._remembered(theirs, known), of_records(heads, tombstones))
            if len(known | told.keys()) > max(MOST_LISTED, len(known)):
                raise Conflict(f"cannot merge the lists of heads: together they have more than {MOST_LISTED}")
            due = changes(heads, tombstones, told)
            if not due:
                return []
            still = Put(Kind.CLUSTER, CLUSTER, here.body, expect=here.revision)
            try:
                await self._store.commit(*due, still)
            except (NotFound, Conflict) as err:
                raise Stale("somebody else was faster") from err
            self._say_revived(due)
            return sorted({change.uid for change in due})

        learned = await until_settled(attempt)
        if learned:
            await self._registry.load()
        return learned

    async def _learn(self, uid: str, theirs: str) -> None:
        ours = self.digest
        if not ours or theirs == ours:
            return
        answer = await self._peers.ask(uid, "GET", PATH)
        if answer.status != 200:
            raise Conflict(f"head {uid} does not tell its list: {answer.reason}")
        try:
            told = msgspec.convert(answer.data, Listing)
        except msgspec.ValidationError as err:
            raise Conflict(f"head {uid} tells no list: {err}") from err
        if told.cluster != (mine := self._registry.members.cluster):
            log.warning("List of heads is another cluster's", peer=uid, cluster=repr(told.cluster[:64]), ours=mine)
            self._leave_alone(uid)
            return
        if learned := await self.merge(of_listing(told, self._clock.now()), mine):
            log.info("List of heads merged", peer=uid, changed=learned)
        self._merged[uid] = (theirs, self.digest)
        self._left_alone.pop(uid, None)

    def _say_revived(self, done: Sequence[Change]) -> None:
        for change in done:
            if isinstance(change, Delete) and change.kind is Kind.TOMBSTONE and change.uid != self._registry.self_uid:
                log.warning("Removed head is a member again", head_uid=change.uid, todo=_REVIVED)

    def _remembered(self, theirs: Roster, known: set[str]) -> Roster:
        """Without the tombstones that this head would only forget again."""
        forgotten = rfc3339(self._clock.now() - timedelta(seconds=self._live.config.database.tombstone_ttl))
        return {
            uid: entry
            for uid, entry in theirs.items()
            if uid in known or not entry.gone or str(entry.body.get("at")) > forgotten
        }


def changes(heads: Sequence[Record], tombstones: Sequence[Record], theirs: Roster) -> list[Change]:
    """What to write so that the store holds the merged list, and of each head one thing."""
    living, dead = {record.uid: record for record in heads}, {record.uid: record for record in tombstones}
    due: list[Change] = []
    for uid, entry in sorted(merged(of_records(heads, tombstones), theirs).items()):
        due += _changes_of(uid, entry, living.get(uid), dead.get(uid))
    return due


def _changes_of(uid: str, entry: Entry, living: Record | None, dead: Record | None) -> list[Change]:
    kept, dropped = (dead, living) if entry.gone else (living, dead)
    due: list[Change] = [] if dropped is None else [Delete(dropped.kind, uid, dropped.revision)]
    if kept is None or kept.body != entry.body:
        expect = ABSENT if kept is None else kept.revision
        due.append(
            Put(Kind.TOMBSTONE, uid, entry.body, expect=expect) if entry.gone else put(HEADS, uid, entry.body, expect)
        )
    return due

"""Who is in the cluster: the snapshot that access is decided from, and this head's own place in it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from typing import TypeVar
from uuid import uuid4

import msgspec
import structlog

from agent.errors import Conflict, NotFound, Stale, Unavailable
from agent.heads import audit
from agent.heads.members import Members
from agent.heads.record import HEADS, grown
from agent.heads.roster import digest
from agent.heads.tombstones import tombstone_of
from agent.model import Departure, Head, Kind, Record, Tombstone, rfc3339
from agent.ports import ABSENT, Clock, Delete, Put, Store
from agent.records import put, until_settled
from agent.records.shape import CLUSTER, SHAPE
from agent.records.spec import Body, plain

log = structlog.get_logger()

T = TypeVar("T", Head, Tombstone)

_OPERATORS = ("description", "joined", "generation")
"""Fields of this head's own record that its start leaves as they are."""


class HeadRegistry:
    """The members, read anew whenever `reconcile` runs: a loop's work, woken by `changed`."""

    def __init__(self, store: Store, self_uid: str, clock: Clock) -> None:
        self.self_uid = self_uid
        self.changed = asyncio.Event()
        self.engine_url: Callable[[], str | None] = lambda: None
        """Where the database engine that this head runs at present talks to its peers."""
        self.shared: Callable[[], bool] = lambda: False
        """Whether the other heads write to the same database: then who is no head there does not make itself one."""
        self._store = store
        self._clock = clock
        self._loading = asyncio.Lock()
        self._revision = 0
        self._members: Members | None = None
        self._failure = Unavailable("the heads have not been read from the database yet")
        self._own: Head | None = None
        self._own_is_settled = False
        self._gone_at = 0
        """The generation of this head that another head says is gone."""
        self._followers: list[Callable[[Members], None]] = []
        store.on_change(self._on_change)

    @property
    def members(self) -> Members:
        """Who is in the cluster now; raises Unavailable while that cannot be known."""
        if self._members is None:
            raise self._failure
        return self._members

    @property
    def belongs(self) -> bool:
        """Whether this head is in the cluster, as far as it knows; raises Unavailable."""
        own = self.members.heads.get(self.self_uid)
        return own is not None and own.generation > self._gone_at

    @property
    def problem(self) -> str | None:
        """That this head has gone out of its cluster, and what to do; None while it is in, or that cannot be known."""
        if self._members is None:
            return None
        own, tombstone = self._members.heads.get(self.self_uid), self._members.tombstones.get(self.self_uid)
        if self.belongs or (own is None and tombstone is None and not self._is_forgotten):
            return None
        how = "has left" if tombstone is not None and tombstone.departure is Departure.LEFT else "was removed from"
        return (
            f"this head {how} its cluster: have it join again (`cw-headctl token --join` on another head prints how), "
            "or go on alone (`cw-headctl leave`)"
        )

    @property
    def _is_forgotten(self) -> bool:
        """Whether this head was removed so long ago that not even its tombstone is left."""
        heads = self.members.heads
        return self.shared() and bool(heads) and self.self_uid not in heads

    @property
    def own(self) -> Head | None:
        """What this head says of itself, also while it has no record; None while it has no certificate."""
        return self._own

    async def load(self) -> None:
        """Read the snapshot anew; raises Unavailable, and until it succeeds again there is none."""
        async with self._loading:  # one after the other: an older reading must not replace a newer one
            try:
                heads = await self._store.records(Kind.HEAD)
                tombstones = await self._store.records(Kind.TOMBSTONE)
                cluster = await self.ensure_cluster()
            except Unavailable as err:
                self._members, self._failure = None, err
                raise
            self._take(cluster, heads, tombstones)

    def follow(self, callback: Callable[[Members], None]) -> None:
        """Have `callback` called, in the event loop, with each new snapshot."""
        self._followers.append(callback)

    async def reconcile(self) -> None:
        """Have the cluster's id, this head's own record and the snapshot be as they must; raises Unavailable."""
        await self.load()
        if self._own is None:
            return
        if self._own_is_settled and self.self_uid in self.members.heads:
            await self._write_engine()
            return
        tombstone = self.members.tombstones.get(self.self_uid)
        if tombstone is None and self._is_forgotten:
            if not self._own_is_settled:
                self._say_gone(Departure.REMOVED)
        elif tombstone is None:
            await until_settled(self._write_own)
            await self.load()
        elif tombstone.generation > self._gone_at:
            self._gone_at = tombstone.generation
            self._say_gone(tombstone.departure)
        self._own_is_settled = True

    async def learn_departure(self, departure: Departure, generation: int) -> None:
        """Another head says that this one went out of the cluster: keep to that, unless it has joined again since.

        Raises Unavailable while it cannot be told whether it has.
        """
        own = self.members.heads.get(self.self_uid)
        if own is None or not own.generation <= generation <= own.generation + 1 or self._gone_at >= generation:
            return  # of a generation that it cannot have had a head must not be kept from ever joining again
        self._gone_at = generation
        self._say_gone(departure)
        with contextlib.suppress(Unavailable):  # a shared database that this head cannot write to any more
            await until_settled(partial(self._bury_own, departure, generation))
            await self.load()

    async def ensure_cluster(self) -> str:
        """The cluster's id, made where there is none: at the first head's first start. Raises Unavailable."""
        record = await self._store.get(Kind.CLUSTER, CLUSTER)
        if record is not None:
            return str(record.body["id"])
        made = {"id": uuid4().hex, "made": rfc3339(self._clock.now())}
        try:
            await self._store.commit(Put(Kind.CLUSTER, CLUSTER, made, expect=ABSENT))
        except Conflict:
            return await self.ensure_cluster()
        log.info("Cluster begun", cluster=made["id"])
        return made["id"]

    async def ensure_self(self, head: Head) -> None:
        """Have this head's own record say what `head` says, now and whenever the record should get lost.

        What operators and the cluster keep there (description, joined, generation) stays. Raises Unavailable:
        then a later `reconcile` does it.
        """
        self._own, self._own_is_settled = head, False
        await self.reconcile()

    def _on_change(self, kinds: frozenset[Kind]) -> None:
        if not kinds.isdisjoint(SHAPE):
            self.changed.set()

    def _take(self, cluster: str, heads: list[Record], tombstones: list[Record]) -> None:
        old, now = self._members, digest(heads, tombstones)
        if old is not None and (old.cluster, old.digest) == (cluster, now):
            return
        if old is not None and old.cluster != cluster:
            self._gone_at = 0  # it joined or left: what became of it in another cluster counts no more
        self._revision += 1
        self._members = members = Members(
            cluster, self.self_uid, _typed(heads, Head), _typed(tombstones, Tombstone), self._revision, now
        )
        for tell in self._followers:
            tell(members)

    def _say_gone(self, departure: Departure) -> None:
        if departure is Departure.LEFT:  # at its own wish, as `cw-headctl leave` tells or will tell
            log.info("Head has left its cluster", head_uid=self.self_uid)
            return
        todo = "have it join again (`cw-headctl token --join` on another head prints how), or go on: `cw-headctl leave`"
        log.error("Head no longer in its cluster", head_uid=self.self_uid, how=departure, todo=todo)

    async def _bury_own(self, departure: Departure, generation: int) -> None:
        record = await self._store.get(Kind.HEAD, self.self_uid)
        if record is None:
            return
        tombstone = tombstone_of(record, departure, rfc3339(self._clock.now()))
        if tombstone.generation > generation:  # it has joined again, or gone on alone, while this was on its way
            return
        buried = plain(msgspec.structs.replace(tombstone, generation=generation))
        await self._store.commit(
            Delete(Kind.HEAD, record.uid, record.revision), Put(Kind.TOMBSTONE, record.uid, buried)
        )

    async def _write_engine(self) -> None:
        """Complete this head's record where its engine was begun after that was written, as by the first head."""
        url = self.engine_url()
        if url is None or self.members.heads[self.self_uid].peer_url is not None or not self.belongs:
            return
        record = await self._store.get(Kind.HEAD, self.self_uid)
        if record is not None:
            body = grown(record.body, {**record.body, "peer_url": url})
            with contextlib.suppress(Conflict, Stale, NotFound):  # then its next writing wakes this again
                await self._store.commit(put(HEADS, self.self_uid, body, record.revision))
                await self.load()

    async def _write_own(self) -> None:
        own: Body = plain(self._own)
        record = await self._store.get(Kind.HEAD, self.self_uid)
        if record is None:
            body = {**own, "joined": rfc3339(self._clock.now())}
            write = put(HEADS, self.self_uid, body, ABSENT)
        else:
            own = {name: value for name, value in own.items() if name not in _OPERATORS}
            body = grown(record.body, {**record.body, **own})
            write = put(HEADS, self.self_uid, body, record.revision)
            if body == record.body:
                return
        try:
            written = Record(Kind.HEAD, self.self_uid, await self._store.commit(write), body)
        except Conflict as err:
            raise Stale("it was written in between, as when this head has just begun anew") from err
        audit.changed(record, written) if record else audit.registered(written)


def _typed(records: list[Record], shape: type[T]) -> dict[str, T]:
    """The records as Structs; one that cannot be read is no member, so that nobody is let in by it."""
    found = {}
    for record in records:
        try:
            found[record.uid] = msgspec.convert(record.body, shape)
        except msgspec.ValidationError as err:
            log.error("Record unreadable", kind=record.kind, object=record.uid, reason=str(err))
    return found

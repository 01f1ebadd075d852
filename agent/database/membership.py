"""Leaving the cluster: this head goes on alone, with its own copy of the objects, and the others know that it left."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any
from uuid import uuid4

import msgspec
import structlog
from msgspec import Struct

from agent.database.backups import Backups
from agent.errors import AgentError, Conflict, Unavailable
from agent.model import Kind, Record, rfc3339
from agent.ports import Clock, ClusterEngine, Credentials, LocalEngine, Peers, Store
from agent.ports.note import Note
from agent.records.shape import CLUSTER, SHAPE, alone, everything, reshape
from agent.records.steps import Step, Steps

log = structlog.get_logger()

FAREWELL = "/heads/farewell"
"""Where another head is told that this one leaves."""
PROBE = "/head/roster"
"""What only members are answered."""


class Left(Struct, frozen=True):
    """A head that has left: `left` is its uid, `cluster` the new one that it is alone in, `remaining` the others."""

    left: str
    cluster: str
    remaining: tuple[str, ...]
    steps: list[Step]


class _Leaving(Struct, frozen=True):
    """The note of a leave that was begun: from which cluster, into which new one, away from whom."""

    former: str
    cluster: str
    remaining: tuple[str, ...]
    own: dict[str, Any] | None = None
    """This head's own record; None for one that was removed before."""
    told: bool = False
    """Whether the others know."""
    removed: bool = False
    """Whether they had removed this head before: then its place in their engine is their matter."""


def peers_of(self_uid: str, heads: Collection[Record]) -> tuple[str, ...]:
    """The heads that joined: their agents have told their version. One that was registered by hand has none."""
    return tuple(sorted(head.uid for head in heads if head.uid != self_uid and head.body.get("version")))


def cannot_leave(self_uid: str, heads: Collection[Record]) -> Conflict:
    """Why a head without a peer has nothing to leave; `heads` are all records."""
    others = sum(head.uid != self_uid for head in heads)
    if not others:
        return Conflict("cannot leave: this head is in no cluster with another; nothing was changed", code="alone")
    return Conflict(
        f"cannot leave: this head has never joined a cluster. Somebody registered {others} other "
        f"head{'s' if others > 1 else ''} by hand, which share nothing with this head's database; DELETE /head/<uid> "
        "takes a record away. Nothing was changed",
        code="never-joined",
    )


class Membership:
    """This head's part in its cluster, which it can give up."""

    def __init__(
        self,
        store: Store,
        self_uid: str,
        peers: Peers,
        engine: ClusterEngine,
        local: LocalEngine,
        credentials: Callable[[], Credentials],
        backups: Backups,
        note: Note,
        clock: Clock,
        reload: Callable[[], Awaitable[object]],
    ) -> None:
        """`reload` has what is known of the heads read anew; `credentials` raises Unavailable without any."""
        self._store = store
        self._self_uid = self_uid
        self._peers = peers
        self._engine = engine
        self._local = local
        self._credentials = credentials
        self._backups = backups
        self._note = note
        self._clock = clock
        self._reload = reload
        self._turn = asyncio.Lock()

    async def leave(self) -> Left:
        """Leave the cluster, or end a leave that was cut off; again afterwards, there is nothing to do.

        Raises Conflict (`alone`, `never-joined`, `quorum`, `busy`) or Unavailable: before anything was done, or in the
        middle. Then asking again goes on.
        """
        if self._turn.locked():
            raise Conflict("this head is leaving already: wait for the end of that", code="busy")
        async with self._turn:
            note = await self._begun()
            if note is not None:
                return await self._go(note)
            heads = await self._store.records(Kind.HEAD)
            peers = peers_of(self._self_uid, heads)
            if not peers:
                here = await self._store.get(Kind.CLUSTER, CLUSTER)
                if here is not None and "left" in here.body:
                    return Left(self._self_uid, str(here.body["id"]), (), [])
                raise cannot_leave(self._self_uid, heads)
            removed = await self._is_removed(peers)
            if not removed and (objection := await self._engine.objection(self._self_uid)):
                raise Conflict(f"cannot leave: {objection}; nothing was changed", code="quorum")
            cluster = await self._cluster()
            own = next((head.body for head in heads if head.uid == self._self_uid), None)
            return await self._go(_Leaving(str(cluster["id"]), uuid4().hex, peers, own, removed, removed))

    async def resume(self) -> None:
        """At a start: end a leave that was cut off. Does not fail; what cannot be done now is told."""
        try:
            if await self._begun() is None:
                return
            log.warning("Leave was cut off: going on with it")
            await self.leave()
        except AgentError as err:
            todo = "mend that, then repeat `cw-headctl leave`"
            log.error("Leave that was cut off cannot be ended", reason=err.reason, todo=todo)

    async def _begun(self) -> _Leaving | None:
        note = await self._note.read()
        try:
            return None if note is None else msgspec.convert(note, _Leaving)
        except msgspec.ValidationError as err:
            raise Unavailable(f"cannot go on with the leave that was begun: its note is damaged ({err})") from err

    async def _cluster(self) -> dict[str, Any]:
        record = await self._store.get(Kind.CLUSTER, CLUSTER)
        if record is None:
            raise Unavailable("cannot leave: the database does not say which cluster this is", code="no-cluster")
        return record.body

    async def _go(self, note: _Leaving) -> Left:
        steps = Steps()
        try:
            if (await self._cluster())["id"] != note.cluster:
                with self._backups.doing("leave the cluster"):
                    await self._move(note, steps)
            with steps.doing("drop the former trust"):
                await self._credentials().settle(note.cluster)
                await self._reload()
            await self._note.clear()
        except AgentError as err:
            err.data = {"steps": steps.all}
            raise
        log.warning("Left the cluster", former=note.former, cluster=note.cluster, remaining=list(note.remaining))
        return Left(self._self_uid, note.cluster, note.remaining, steps.all)

    async def _move(self, note: _Leaving, steps: Steps) -> None:
        await self._credentials().settle(note.former)  # cut off before, it goes on as whom the others know
        with steps.doing("back up the database"):
            await self._backups.write()
        records = await everything(self._store)
        await self._note.write(msgspec.to_builtins(note))
        with steps.doing("tell the other heads") as step:
            step.result = "done before" if note.told else await self._tell(note.remaining)
            await self._note.write(msgspec.to_builtins(msgspec.structs.replace(note, told=True)))
        with steps.doing("leave the engine") as step:
            if self._engine.kind == "sqlite":
                step.result = "nothing to do: each head has a database of its own"
            elif note.removed:
                step.result = "nothing to do: the others removed this head before"
            else:
                await self._engine.dismiss(self._self_uid)
        with steps.doing("begin with a certificate of its own"):
            await self._credentials().begin(note.cluster)
        with steps.doing("begin with a database of its own"):
            body = {"id": note.cluster, "made": rfc3339(self._clock.now()), "left": note.former}
            own = None if note.own is None else Record(Kind.HEAD, self._self_uid, 0, note.own)
            kept = alone(records, own, body)
            if self._engine.kind == "sqlite":
                await reshape(self._store, [record for record in kept if record.kind in SHAPE])
            else:
                await self._local.found("sqlite", kept)

    async def _is_removed(self, heads: Sequence[str]) -> bool:
        """Whether a head that can be reached says that this one is not in the cluster any more."""
        if self._engine.kind == "sqlite":
            return False  # nothing depends on it: each is told below
        for uid in heads:
            try:
                answer = await self._peers.ask(uid, "GET", PROBE)
            except AgentError:
                continue
            return answer.status == 403 and answer.code in ("left", "removed")
        return False

    async def _tell(self, heads: Sequence[str]) -> str:
        """Tell every other head that this one leaves; where the database is shared, one of them is enough.

        Raises Unavailable when it is shared and none could be told: then nobody would take this head off the list.
        """
        told, missed = [], []
        for uid in heads:
            try:
                answer = await self._peers.ask(uid, "POST", FAREWELL)
            except AgentError as err:
                missed.append(f"{uid}: {err.reason}")
                continue
            if answer.status < 400 or answer.code in ("left", "removed"):
                told.append(uid)
                if self._engine.kind != "sqlite":
                    return f"done: by {uid}, for all"
            else:
                missed.append(f"{uid}: {answer.reason}")
        if self._engine.kind != "sqlite":
            raise Unavailable(f"cannot leave: no other head could be told ({'; '.join(missed)})", code="unreachable")
        if missed:
            log.warning("Heads were not told that this one leaves", missed=missed, told=told)
        if not told:
            return f"nobody could be told: remove this head there (DELETE /head/{self._self_uid})"
        return "done" if not missed else f"{len(told)} of {len(heads)}: these will tell the others"

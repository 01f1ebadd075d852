"""The newcomer's side of a join: step by step into another head's cluster, or back to where it began."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from dataclasses import dataclass

import msgspec
import structlog

from agent import __version__
from agent.errors import AgentError, Conflict, Unavailable
from agent.heads.beat import PROTOCOL
from agent.heads.gossip import PATH
from agent.heads.introduction import JoinRequest, PeerUrl, Welcome, check_engine
from agent.heads.registry import HeadRegistry
from agent.heads.sponsor import Invitation, Sponsor
from agent.model import OBJECT_KINDS, Kind, Record, rfc3339
from agent.ports import Clock, ClusterEngine, Credentials, Introductions, LocalEngine, Peers, Store
from agent.records.shape import CLUSTER, SHAPE, everything, reshape
from agent.records.steps import Step, Steps

log = structlog.get_logger()

PROBE = PATH
"""What a member is asked to see whether it takes this head for one: for known heads only, and cheap."""
QUEUE = 180.0
"""Seconds that a newcomer waits for others that are joining: each takes some ten, and a cluster has fifteen at most."""
AGAIN = 1.0
"""Seconds after which it asks again, at most; jittered."""


@dataclass(frozen=True, slots=True)
class Means:
    """What this head can bring along; asked anew for each join."""

    engines: Callable[[], Sequence[str]]
    """The database engines that it can run."""
    engine_url: Callable[[], str | None]
    """Where its engine would talk to its peers."""
    backup: Callable[[], Awaitable[object]]
    """Writes a backup, within the turn; raises Unavailable."""
    turn: Callable[[str], AbstractContextManager[None]]
    """The database's one turn for such work; raises Conflict when it is taken, as by a leave."""


@dataclass(frozen=True, slots=True)
class _Before:
    """Where this head was before it tried to join: its engine, its cluster, all its records."""

    engine: str
    cluster: str
    records: Sequence[Record]
    listed: bool
    """Whether the cluster that it joins had it as a member."""


class Joined(msgspec.Struct, frozen=True):
    """A head that is a member: of which cluster, let in by whom, and what was done for it."""

    cluster: str
    head: str
    by: str
    already: bool
    steps: list[Step]


class Joining:
    """Takes this head into another's cluster. One at a time."""

    def __init__(
        self,
        store: Store,
        registry: HeadRegistry,
        credentials: Callable[[], Credentials],
        introductions: Introductions,
        peers: Peers,
        engine: ClusterEngine,
        local: LocalEngine,
        means: Means,
        clock: Clock,
    ) -> None:
        """`credentials` raises Unavailable where this head has no certificate."""
        self._store = store
        self._registry = registry
        self._credentials = credentials
        self._introductions = introductions
        self._peers = peers
        self._engine = engine
        self._local = local
        self._means = means
        self._clock = clock
        self._running: Steps | None = None

    @property
    def steps(self) -> list[Step] | None:
        """Those of the join that is under way; None when there is none."""
        return self._running.all if self._running else None

    async def join(self, invitation: Invitation) -> Joined:
        """Become a member and prove it; a member already is told so. A failure leaves everything as it was.

        Raises any AgentError; its `data` names the steps.
        """
        if self._running is not None:
            raise Conflict("a join is under way on this head already: wait for its end", code="busy")
        self._running = steps = Steps()
        try:
            with self._means.turn("join a cluster"):
                return await self._join(invitation, steps)
        except AgentError as err:
            err.data = {"steps": steps.all}
            raise
        finally:
            self._running = None

    async def _join(self, invitation: Invitation, steps: Steps) -> Joined:
        sponsor = Sponsor(self._introductions, invitation, self._clock)
        with steps.doing("look at the cluster"):
            met = await sponsor.look()
        with steps.doing("look at this head"):
            await self._have_a_database(force=invitation.force)
            listed = await self._is_listed(met)
            if listed and self._store.age is None:  # else its database may have been left behind when it was recovered
                return Joined(met.cluster, self._registry.self_uid, met.uid, already=True, steps=steps.all)
            await self._may_move(met, force=invitation.force)
        await self._credentials().settle(self._registry.members.cluster)  # whatever was cut off before
        records = await everything(self._store)
        before = _Before(self._engine.kind, self._registry.members.cluster, records, listed)
        if before.cluster != met.cluster and any(record.kind in OBJECT_KINDS for record in before.records):
            with steps.doing("back up the database"):
                await self._means.backup()
        async with self._without_the_gone(before, met):
            welcome = await self._let_in(sponsor, steps)
        try:
            with steps.doing("take over the certificate"):
                await self._credentials().adopt(met.cluster, welcome.issued)
            with steps.doing("take over the database"):
                await self._take_over(welcome)
            with steps.doing("prove the membership"):
                await self._prove(met)
            with steps.doing("keep the certificate"):
                await self._credentials().settle(met.cluster)
        except AgentError as err:
            step = steps.all[-1].step
            log.warning("Join failed and is being undone", step=step, reason=err.reason, url=invitation.url)
            undone = await self._undo(before, met, sponsor, steps)
            what = "everything was undone" if undone else "not all could be undone: see this agent's journal"
            err.reason = f"cannot join, at the step {step!r}: {err.reason.removeprefix('cannot join: ')}; {what}"
            err.args = (err.reason,)
            raise
        log.warning("Joined a cluster", cluster=met.cluster, peer=met.uid, url=invitation.url)
        return Joined(met.cluster, self._registry.self_uid, met.uid, already=False, steps=steps.all)

    @asynccontextmanager
    async def _without_the_gone(self, before: _Before, met: PeerUrl) -> AsyncIterator[None]:
        """Know nothing from now on of other heads' having gone, where this head has that from a list of its own.

        It is given the cluster's. But as soon as it is let in the others beat to it, and would take its refusal for
        their own removal: of heads that have removed each other, the one that lets the other in would be out.
        """
        shape = [record for record in before.records if record.kind in SHAPE]
        kept = [one for one in shape if one.kind is not Kind.TOMBSTONE or one.uid == self._registry.self_uid]
        own_list = self._engine.kind == "sqlite" and before.cluster == met.cluster and kept != shape
        if own_list:
            await reshape(self._store, kept)
            await self._registry.load()
        try:
            yield
        except AgentError:
            if own_list:
                with suppress(AgentError):  # what has failed first is what matters
                    await reshape(self._store, shape)
                    await self._registry.load()
            raise

    async def _let_in(self, sponsor: Sponsor, steps: Steps) -> Welcome:
        """Ask to be let in, and again while others are joining; raises what the cluster has against it."""
        with steps.doing("ask to be let in") as asking:
            try:
                return await sponsor.ask(await self._request())
            except Conflict as err:
                if err.code != "busy":
                    raise
                asking.result = "others are joining"
        ends = self._clock.monotonic() + QUEUE
        with steps.doing("wait for its turn, as another head is joining"):
            while True:
                await asyncio.sleep(random.uniform(AGAIN / 2, AGAIN))
                try:
                    return await sponsor.ask(await self._request())
                except Conflict as err:
                    if err.code != "busy" or self._clock.monotonic() >= ends:
                        raise

    async def _have_a_database(self, *, force: bool) -> None:
        """Raises Unavailable while this head's own database cannot be read, unless it is to be given up unread."""
        try:
            await self._registry.load()
        except Unavailable as err:
            if not force:
                raise Unavailable(
                    f"cannot join: this head's own database cannot be read ({err.reason}); mend that or, if nothing in "
                    "it is needed, say --force: then it is put aside, unread",
                    code=err.code,
                ) from err
            log.warning("Own database given up unread for a join", reason=err.reason)
            await self._local.found("sqlite", [])
            await self._registry.reconcile()

    async def _is_listed(self, met: PeerUrl) -> bool:
        """Whether this head is in that cluster already, by its own records and by that head's word."""
        members = self._registry.members
        if met.cluster != members.cluster:
            return False
        if met.uid == members.self_uid:
            raise Conflict("cannot join: this URL is this head's own; name another head of the cluster", code="self")
        if members.self_uid not in members.heads or met.uid not in members.heads:
            return False
        try:
            return (await self._peers.ask(met.uid, "GET", PROBE)).status == 200
        except AgentError:
            return False

    async def _may_move(self, met: PeerUrl, *, force: bool) -> None:
        """Raises Conflict when this head must stay where it is."""
        members = self._registry.members
        if met.uid == members.self_uid:
            raise Conflict(
                f"cannot join: the head there has this head's uid, {met.uid}; give one of them another",
                code="uid-taken",
            )
        left_behind = force and self._store.age is not None  # its cluster has no quorum: then it cannot leave either
        others = sorted(set(members.heads) - {members.self_uid})
        if members.cluster != met.cluster and others and not left_behind:
            more = f" and {len(others) - 1} more" if len(others) > 1 else ""
            raise Conflict(
                f"cannot join: this head is in a cluster already, with {others[0]}{more}; "
                "have it leave that one first, with cw-headctl leave (or, once that has lost its quorum for good, "
                "say --force)",
                code="joined-elsewhere",
            )
        check_engine(met.store, self._means.engines())
        if met.store == "sqlite" or members.cluster == met.cluster or force:
            return
        own = sum([len(await self._store.records(kind)) for kind in OBJECT_KINDS])
        if own:
            raise Conflict(
                f"cannot join: this head has {own} images, boot configurations or repositories of its own, and the "
                "cluster's shared database would take their place. With --force they are given up, and are in the "
                "backup that is written first",
                code="has-objects",
            )

    async def _request(self) -> JoinRequest:
        own = self._registry.members.heads.get(self._registry.self_uid) or self._registry.own
        if own is None:
            raise Unavailable("cannot join: this head has no record of its own yet: see GET /readyz", code="no-record")
        asked = await self._credentials().request()
        return JoinRequest(
            uid=self._registry.self_uid,
            ssh_public=own.ssh_public,
            request=asked.pem,
            time=self._clock.now(),
            version=__version__,
            protocol=PROTOCOL,
            engines=tuple(self._means.engines()),
            description=own.description,
            names=asked.names,
            addresses=own.addresses,
            url=own.url,
            peer_url=self._means.engine_url(),
        )

    async def _take_over(self, welcome: Welcome) -> None:
        await self._local.attach(welcome.attachment)
        if welcome.attachment.engine == "sqlite":
            await reshape(self._store, self._records(welcome))

    def _records(self, welcome: Welcome) -> list[Record]:
        """The cluster's id and its list of heads, as this head's own database keeps them."""
        listed = welcome.listing
        cluster = {"id": listed.cluster, "joined": rfc3339(self._clock.now())}
        return [
            Record(Kind.CLUSTER, CLUSTER, 0, cluster),
            *(Record(Kind.HEAD, uid, 0, body) for uid, body in listed.heads.items()),
            *(Record(Kind.TOMBSTONE, uid, 0, body) for uid, body in listed.tombstones.items()),
        ]

    async def _prove(self, met: PeerUrl) -> None:
        """Raises Unavailable unless this head is a member to itself and to the head that let it in."""
        await self._registry.load()
        members = self._registry.members
        if members.cluster != met.cluster or members.self_uid not in members.heads or met.uid not in members.heads:
            raise Unavailable("cannot join: the database that was taken over does not show this head", code="unproven")
        answer = await self._peers.ask(met.uid, "GET", PROBE)
        if answer.status != 200:
            refusal = f"cannot join: head {met.uid} does not take this head for one: {answer.reason}"
            raise Unavailable(refusal, code="unproven")

    async def _undo(self, before: _Before, met: PeerUrl, sponsor: Sponsor, steps: Steps) -> bool:
        """Put everything back as it was, and tell whether that worked; else it is mended at the next start."""
        parts: list[tuple[str, Callable[[], Awaitable[object]]]] = [
            ("undo: the database", lambda: self._put_back(before, met)),
            ("undo: the certificate", lambda: self._follow_database(before)),
            ("undo: what is known of heads", self._registry.load),
        ]
        if not before.listed:
            parts.insert(
                0, ("undo: the cluster's record of this head", lambda: sponsor.withdraw(self._registry.self_uid))
            )
        undone = True
        for name, work in parts:
            try:
                with steps.doing(name):
                    await work()
            except AgentError as err:
                undone = False
                log.error("Part of a failed join is not undone", part=name, reason=err.reason)
        return undone

    async def _put_back(self, before: _Before, met: PeerUrl) -> None:
        if self._engine.kind == before.engine == "sqlite":
            await reshape(self._store, [record for record in before.records if record.kind in SHAPE])
        elif before.cluster != met.cluster and await self._has_moved(before):
            # In the same cluster its records are that cluster's, and it is out of it as before.
            if self._engine.kind != before.engine:
                # First: members that count on one that stopped may be too few to take it out.
                await self._engine.dismiss(self._registry.self_uid)
            await self._local.found(before.engine, before.records)

    async def _has_moved(self, before: _Before) -> bool:
        here = await self._store.get(Kind.CLUSTER, CLUSTER)
        return here is None or here.body["id"] != before.cluster

    async def _follow_database(self, before: _Before) -> None:
        """Have the certificate of the cluster whose database this head has now, as each start has it."""
        here = await self._store.get(Kind.CLUSTER, CLUSTER)
        await self._credentials().settle(str(here.body["id"]) if here else before.cluster)

"""The cluster's side of a join: everything is checked, then the head is let in."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import msgspec
import structlog

from agent import __version__
from agent.errors import AgentError, Conflict, FieldError, Invalid, NotFound, Stale
from agent.heads import audit
from agent.heads.directory import HeadDirectory
from agent.heads.introduction import MOST_HEADS, JoinRequest, Welcome, check_clocks, check_engine, check_protocol
from agent.heads.record import HEADS, grown
from agent.heads.registry import HeadRegistry
from agent.heads.roster import listing
from agent.heads.single_use import FIELD, check_place, check_unused, with_use, without_use
from agent.heads.tokens import Claims
from agent.heads.tombstones import revival
from agent.model import Kind, Record, rfc3339
from agent.ports import ABSENT, Change, Clock, ClusterEngine, Issued, Put, Registrar, Store
from agent.records import put, until_settled
from agent.records.shape import CLUSTER
from agent.records.spec import Body

log = structlog.get_logger()

_MOST_NAMES = 16
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*")
"""A DNS host name (RFC 1123, 2.1)."""


class Admission:
    """Lets heads in, one after the other."""

    def __init__(
        self,
        store: Store,
        registry: HeadRegistry,
        directory: HeadDirectory,
        registrar: Callable[[], Registrar],
        engine: ClusterEngine,
        clock: Clock,
    ) -> None:
        """`registrar` raises Unavailable where this head has no certificate itself."""
        self._store = store
        self._registry = registry
        self._directory = directory
        self._registrar = registrar
        self._engine = engine
        self._clock = clock
        self._turn = asyncio.Lock()
        self._unproved: dict[str, str] = {}
        """By the id of a token for one head: whom it let in, until that has shown itself to be a member."""

    async def admit(self, asked: JoinRequest, once: Claims | None = None) -> Welcome:
        """Let this head in and give it what it needs; the same head asking again is given the same again.

        `once`: the token that it came with, where that is good for one head. Raises Conflict (`version`, `clock`,
        `engine`, `uid-taken`, `full`, `no-member`, `busy`), Denied (`token-used`, `token-elsewhere`), Invalid, or
        Unavailable.
        """
        check_protocol(asked.protocol, asked.version, __version__)
        check_clocks(asked.time, self._clock.now())
        check_engine(self._engine.kind, asked.engines)
        fields = self._fields(asked)
        if once is not None:
            check_place(once, self._registry.self_uid, shared=self._engine.kind != "sqlite")
        async with self._turn:
            await self._registry.load()
            self._check_member()
            await self._check_nobody_comes(asked)
            # Of a member that is to be taken in anew nothing must be lost by a failure.
            is_new = asked.uid not in self._registry.members.heads or asked.uid in self._unproved.values()
            issued = await self._registrar().certify(asked.request, asked.uid, asked.names, fields.get("addresses", ()))
            fields |= {"ca_pem": issued.ca_pem, "key_sha256": issued.key_sha256, "version": asked.version[:100]}
            record = await until_settled(lambda: self._write(asked.uid, fields, issued, once))
            if once is not None and once.token_id is not None:
                self._unproved[once.token_id] = asked.uid
            await self._registry.load()
            try:
                attachment = await self._engine.invite(asked.uid, asked.peer_url or "")
            except AgentError:
                if is_new:
                    await self._take_back(record, once)
                raise
            heads, tombstones = await self._store.records(Kind.HEAD), await self._store.records(Kind.TOMBSTONE)
        log.warning(
            "Head admitted",
            head_uid=asked.uid,
            generation=record.body.get("generation"),
            url=asked.url,
            key_sha256=issued.key_sha256,
            todo="it was given the cluster's CA with its key: make sure that this was meant",
        )
        return Welcome(issued, listing(self._registry.members.cluster, heads, tombstones), attachment)

    def proved(self, uid: str) -> None:
        """That head has shown itself to be a member: its join can be taken back no more."""
        self._unproved = {token: head for token, head in self._unproved.items() if head != uid}

    async def withdraw(self, once: Claims) -> str:
        """Take back that a head was let in with that token, which is then as unused; the head's uid.

        Raises NotFound where there is nothing to take back (any more), or what HeadDirectory.remove does.
        """
        async with self._turn:
            uid = self._unproved.get(once.token_id or "")
            if uid is None:
                raise NotFound("no join with this token is under way here, so there is nothing to take back")
            removed = await self._directory.remove(uid, force=True)
            await self._forget_use(removed, once)
            self.proved(uid)
            with suppress(AgentError):  # else upkeep does it, once it has been there for long
                await self._dismiss_unstarted(removed)
        return uid

    async def _dismiss_unstarted(self, removed: Record) -> None:
        """Take the member out that was made for a head and never started: until then nobody else could come in."""
        for member in await self._engine.members():
            if not member.voter and member.peer_url == removed.body.get("peer_url"):
                await self._engine.dismiss(member.head)

    async def _forget_use(self, removed: Record, once: Claims) -> None:
        """Have the tombstone of a head that never came in not count as the use of that token."""
        tombstone = await self._store.get(Kind.TOMBSTONE, removed.uid)
        if tombstone is not None:
            body = {**tombstone.body, FIELD: without_use(tombstone.body.get(FIELD, ()), once)}
            await self._store.commit(Put(Kind.TOMBSTONE, removed.uid, body, expect=tombstone.revision))

    def _fields(self, asked: JoinRequest) -> Body:
        """The record's fields, checked as those of any head; raises Invalid."""
        told: dict[str, Any] = msgspec.to_builtins(asked)
        names = ["uid", "ssh_public", "description", "addresses", "url"]
        if self._engine.kind != "sqlite":
            names.append("peer_url")
        _, fields = HEADS.read_new({name: told[name] for name in names if told[name] is not None})
        check_names(asked.names)
        if not str(fields.get("url", "")).startswith("https://"):
            reason = "must be where the other heads reach the new one: see [api] listen and url in its configuration"
            raise Invalid(f"url: {reason}", fields=[FieldError("url", reason)])
        return fields

    def _check_member(self) -> None:
        """Raises Conflict on a head that is out of its cluster itself."""
        members = self._registry.members
        if members.self_uid not in members.heads:
            raise Conflict("this head is not in its cluster any more: ask another head to let you in", code="no-member")

    async def _check_nobody_comes(self, asked: JoinRequest) -> None:
        """Raises Conflict while the engine has a learner of another head's, as it takes one at a time.

        Before anything is written of this newcomer, which asks again: of a learner that comes only now, `invite` tells.
        """
        for member in await self._engine.members():
            if not member.voter and member.head != asked.uid and member.peer_url != asked.peer_url:
                raise Conflict(
                    f"the database takes in one head at a time, and another ({member.head}) is just coming: try again "
                    "in a minute, or remove that one if it is down",
                    code="busy",
                )

    async def _write(self, uid: str, fields: Body, issued: Issued, once: Claims | None) -> Record:
        """Write the newcomer's record, once; raises Conflict, and Stale when another write came in between."""
        heads, tombstones = await self._store.records(Kind.HEAD), await self._store.records(Kind.TOMBSTONE)
        unchanged = await self._cluster_unchanged()
        if once is not None:
            check_unused(once, uid, heads, tombstones)
        present = await self._store.get(Kind.HEAD, uid)
        if present is not None:
            _check_same(present, fields, issued, once)
            body = grown(present.body, with_use({**present.body, **fields}, [present], once))
            if body != present.body:
                await self._commit(put(HEADS, uid, body, present.revision), *unchanged)
                audit.changed(present, Record(Kind.HEAD, uid, 0, body))
            return Record(Kind.HEAD, uid, present.revision, body)
        if len(heads) >= MOST_HEADS:
            raise Conflict(
                f"the cluster has {MOST_HEADS} heads, and more are not supported: remove one first", code="full"
            )
        generation, gone = await revival(self._store, uid)
        former = [tombstone for tombstone in tombstones if tombstone.uid == uid]
        fields = with_use(fields, former, once)
        body = {**fields, "joined": rfc3339(self._clock.now()), "generation": generation}
        record = Record(Kind.HEAD, uid, await self._commit(put(HEADS, uid, body, ABSENT), *gone, *unchanged), body)
        audit.registered(record)
        return record

    async def _cluster_unchanged(self) -> list[Change]:
        """Writes the cluster's id as it is: of two heads that let somebody in at a time, one has to look anew."""
        cluster = await self._store.get(Kind.CLUSTER, CLUSTER)
        return [] if cluster is None else [Put(cluster.kind, cluster.uid, cluster.body, cluster.name, cluster.revision)]

    async def _commit(self, *changes: Change) -> int:
        try:
            return await self._store.commit(*changes)
        except NotFound as err:
            raise Stale("a record has gone in between") from err
        except Conflict as err:
            raise Stale("a record has come in between") from err

    async def _take_back(self, record: Record, once: Claims | None) -> None:
        """Have nothing left of a head that cannot be let in after all; whoever cannot do that leaves it to people."""
        try:
            await self._directory.remove(record.uid, force=True)
            if once is not None:
                await self._forget_use(record, once)
        except AgentError as err:
            todo = f"`cw-headctl heads evict {record.uid}` takes it away; or have the head join again"
            log.warning(
                "Record of a head that could not join is left", head_uid=record.uid, reason=err.reason, todo=todo
            )


def check_names(names: Sequence[str]) -> None:
    """Raises Invalid unless these can stand in a certificate as DNS names of one head."""
    bad = [name for name in names if not _NAME.fullmatch(name)]
    if bad or len(names) > _MOST_NAMES:
        reason = f"{bad[0][:60]!r} is not a host name" if bad else f"has more than {_MOST_NAMES} names"
        raise Invalid(f"names: {reason}", fields=[FieldError("names", reason)])


def _check_same(present: Record, fields: Body, issued: Issued, once: Claims | None) -> None:
    """Raises Conflict unless the head that has a record is the one that asks: by its key, else by its SSH key.

    The latter is public, so a token for one new head changes nothing for one that is recognised by what an
    administrator wrote in its record.
    """
    pinned = present.body.get("key_sha256")
    if pinned is None and once is not None and (present.body.get("ca_pem") or present.body.get("addresses")):
        raise Conflict(
            f"the head {present.uid} is in the cluster already, registered by hand: join with a token with HeadsWrite, "
            f"or remove the record first (DELETE /head/{present.uid})",
            code="uid-taken",
        )
    own_key = str(present.body.get("ssh_public", "")).split()[:2]
    if pinned == issued.key_sha256 or (pinned is None and own_key == str(fields["ssh_public"]).split()[:2]):
        return
    raise Conflict(
        f"a head with the uid {present.uid} is in the cluster already with another key: if this is that head with a "
        f"new disk, remove the former one first (DELETE /head/{present.uid}); if not, give this one a uid of its own",
        code="uid-taken",
    )

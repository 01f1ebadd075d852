"""Who is a member of the agents' own etcd: asked all at once how they are, invited, given a vote, dismissed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

from agent.adapters.etcd.client import EtcdClient
from agent.adapters.etcd.cluster import Cluster
from agent.adapters.etcd.members import VOTERS, objection
from agent.adapters.etcd.wire import Member
from agent.errors import AgentError, Conflict, Unavailable
from agent.ports import Attachment, Clock, EngineMember

T = TypeVar("T")

UNHEALTHY = 12.0
"""Seconds for which a change is tried again that etcd refuses while some member does not answer yet: it does for
about five after any member's restart (strict-reconfig-check)."""
PAUSE = 0.5
A_SECOND = 1.1
"""etcd makes a member's id of its URL and the second it was added in, and refuses the id of one that was removed."""


class EtcdMembership:
    """`ClusterEngine` over the etcd that the agents run. A member's name is its head's uid."""

    kind = "etcd"

    def __init__(self, client: EtcdClient, clock: Clock, voters: int = VOTERS) -> None:
        """`voters`: the most members with a vote."""
        self._voters = voters
        self._client = client
        self._cluster = Cluster(client)
        self._clock = clock

    async def members(self) -> Sequence[EngineMember]:
        """The members by uid, all of them asked at the same time, for a second, how they are."""
        found = await self._cluster.member_list()
        leaders = await asyncio.gather(*(self._leader(member) for member in found))
        pairs = zip(found, leaders, strict=True)
        return sorted((_described(member, leader) for member, leader in pairs), key=lambda one: one.head)

    async def objection(self, uid: str) -> str | None:
        """Why the others cannot do without that head's member now, or None."""
        return objection(await self.members(), uid)

    async def invite(self, uid: str, peer_url: str) -> Attachment:
        """Make room for a head's member, as a learner. With five voters there is none: it uses the others' endpoints.

        A member of that head which has no vote, or does not answer, is what is left of an attempt, and its data are
        gone: it is replaced, for a member that has forgotten what it agreed to must not come back under its old id.
        Raises Conflict while another head's learner is catching up, and for the peer URL of another head's member.
        """
        members = await self._cluster.member_list()
        _check_free(peer_url, uid, members)
        own = [member for member in members if member.name == uid or peer_url in member.peer_urls]
        for member in own:
            if member.name == uid and not member.learner and await self._healthy(member):
                return self._attachment(uid, members, runs=True, new=False)
        for member in own:
            await self._patiently(partial(self._cluster.member_remove, member.id))
        if own:
            await asyncio.sleep(A_SECOND)
        others = [member for member in members if member not in own]
        if sum(not member.learner for member in others) >= self._voters:
            return self._attachment(uid, others, runs=False, new=False)
        try:
            await self._patiently(partial(self._cluster.member_add, peer_url))
        except Conflict as err:
            if err.code != "too-many-learners":
                raise
            reason = "another head is coming into the database just now: try again in a minute, or remove it if down"
            raise Conflict(reason, code="busy") from err
        return self._attachment(uid, others, runs=True, new=True)

    async def promote(self, uid: str) -> bool:
        """Give that head's learner its vote; False while it has not caught up, True where there is none."""
        for member in await self._cluster.member_list():
            if member.name == uid and member.learner:
                try:
                    return await self._cluster.member_promote(member.id)
                except Unavailable as err:
                    if err.code != "unhealthy":
                        raise
                    return False
        return True

    async def dismiss(self, uid: str) -> None:
        """Take that head's member out; where there is none, all is well. Raises Conflict for the last, Unavailable."""
        members = await self._cluster.member_list()
        for member in members:
            if _head(member) != uid:
                continue
            if len(members) == 1:
                raise Conflict("cannot dismiss the database's last member: its records would be gone", code="last")
            await self._patiently(partial(self._cluster.member_remove, member.id))

    async def move(self, uid: str, peer_url: str) -> None:
        """Have that head's member be known under another peer URL."""
        for member in await self._cluster.member_list():
            if member.name == uid and member.peer_urls != (peer_url,):
                await self._patiently(partial(self._cluster.member_update, member.id, peer_url))

    async def _healthy(self, member: Member) -> bool:
        """Whether it answers within a second and knows a leader."""
        return await self._leader(member) != 0

    async def _leader(self, member: Member) -> int:
        """The id of the leader that it knows; 0 when it knows none, or does not answer within a second."""
        for url in member.client_urls[:1]:
            try:
                return (await self._cluster.status(url)).leader
            except AgentError:
                return 0
        return 0

    async def _patiently(self, change: Callable[[], Awaitable[T]]) -> T:
        """Change the members; tried again while etcd says that some member does not answer yet."""
        ends = self._clock.monotonic() + UNHEALTHY
        while True:
            try:
                return await change()
            except Unavailable as err:
                if err.code != "unhealthy":
                    raise
                if self._clock.monotonic() >= ends:
                    raise Unavailable(
                        "the database takes no change of its members while one of them does not answer: try again when "
                        "all are up, or remove the one that is gone first",
                        code="unhealthy",
                    ) from err
            await asyncio.sleep(PAUSE)

    def _attachment(self, uid: str, members: Sequence[Member], *, runs: bool, new: bool) -> Attachment:
        others = [member for member in members if member.name != uid]
        details = {
            "endpoints": [url for member in others if not member.learner for url in member.client_urls],
            "peers": {member.name or f"{member.id:x}": member.peer_urls[0] for member in others},
            "member": runs,
            "new": new,
        }
        return Attachment(self.kind, f"{self._client.cluster_id or 0:x}", details)


def _check_free(peer_url: str, uid: str, members: Sequence[Member]) -> None:
    """Raises Conflict where a member of another head has that URL: it must not be dismissed for a newcomer's mistake.

    One without a name was added and has never started: it is nobody's yet.
    """
    for member in members:
        if peer_url in member.peer_urls and member.name not in ("", uid):
            raise Conflict(
                f"the database's member of head {member.name} has the URL {peer_url}: give the new head an address of "
                f"its own or, if it stands in that head's place, remove that one first (DELETE /head/{member.name})",
                code="peer-url-taken",
            )


def _described(member: Member, leader: int) -> EngineMember:
    return EngineMember(
        head=_head(member),
        peer_url=next(iter(member.peer_urls), ""),
        client_urls=member.client_urls,
        voter=not member.learner,
        leader=leader == member.id,
        healthy=leader != 0,
    )


def _head(member: Member) -> str:
    """The uid of its head. One that was added and has never started has no name: its peer URL stands in for it."""
    return member.name or f"not started: {next(iter(member.peer_urls), member.id)}"

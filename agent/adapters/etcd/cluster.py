"""What is asked of etcd about itself: its members, their state, alarms, compaction, defragmentation.

Whatever changes something may be repeated: what is so already is no failure.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TypeVar

from agent.adapters.etcd.client import EtcdClient
from agent.adapters.etcd.errors import Again, Compacted
from agent.adapters.etcd.wire import Alarm, Alarms, Answer, Member, Members, Status
from agent.errors import AgentError, Conflict, NotFound, Unavailable

CHANGE = 5.0
"""Seconds that one attempt to change members is given: it goes through the leader and every member's disk."""
CHANGES = 15.0
"""Seconds within which a change of members must have been answered."""
DEFRAGMENT = 120.0
"""Seconds that a defragmentation or a compaction may take; the member does nothing else meanwhile."""

A = TypeVar("A", bound=Answer)


class Cluster:
    """etcd's cluster and maintenance calls. Every method raises Unavailable, NoQuorum among them."""

    def __init__(self, client: EtcdClient) -> None:
        self._client = client

    async def member_list(self) -> tuple[Member, ...]:
        """All members, learners and those that have not started among them, as the member asked knows them."""
        answer = await self._client.call("cluster/member/list", {}, Members)
        self._client.endpoints.learn(url for member in answer.members for url in member.client_urls)
        return answer.members

    async def member_add(self, peer_url: str, *, learner: bool = True) -> Member:
        """Make room for a member at that peer URL, or find the one there is.

        Raises Conflict (`too-many-learners`), Unavailable (`unhealthy`) while etcd has members that do not answer.
        """
        found = await self._at(peer_url)
        if found is not None:
            return found
        body = {"peerURLs": [peer_url], "isLearner": learner}
        try:
            return (await self._change("cluster/member/add", body)).member
        except Conflict as err:
            found = await self._at(peer_url)
            if err.code != "exists" or found is None:
                raise
            return found

    async def member_promote(self, member: int) -> bool:
        """Give a learner its vote; False while it has not caught up. Raises NotFound."""
        try:
            await self._change("cluster/member/promote", {"ID": str(member)})
        except Conflict as err:
            if err.code == "not-in-sync":
                return False
            if err.code != "not-a-learner":
                raise
        return True

    async def member_remove(self, member: int) -> None:
        """Take a member out. Raises Conflict for the last one, Unavailable where the rest would lose quorum."""
        with contextlib.suppress(NotFound):
            await self._change("cluster/member/remove", {"ID": str(member)})

    async def member_update(self, member: int, peer_url: str) -> None:
        """Tell the cluster that a member is reached at another peer URL. Raises NotFound."""
        await self._change("cluster/member/update", {"ID": str(member), "peerURLs": [peer_url]})

    async def status(self, url: str) -> Status:
        """The state of the member at that client URL; raises Unavailable when it does not answer within a second."""
        return await self._at_member(url, "maintenance/status", Status)

    async def statuses(self, members: Sequence[Member]) -> dict[int, Status]:
        """The state of each member that answers, by its id."""
        found = {}
        for member in members:
            for url in member.client_urls[:1]:
                with contextlib.suppress(AgentError):
                    found[member.id] = await self.status(url)
        return found

    async def defragment(self, url: str) -> None:
        """Have the member at that client URL give free space back to its filesystem; it answers nobody meanwhile."""
        await self._at_member(url, "maintenance/defragment", Answer, DEFRAGMENT)

    async def compact(self, revision: int) -> None:
        """Forget what was before `revision`, and return when the space is free for use."""
        body = {"revision": str(revision), "physical": True}
        with contextlib.suppress(Compacted):
            await self._client.call("kv/compaction", body, Answer, deadline=DEFRAGMENT, attempt=DEFRAGMENT)

    async def alarms(self) -> tuple[Alarm, ...]:
        """The alarms that are raised: NOSPACE, CORRUPT."""
        return (await self._client.call("maintenance/alarm", {"action": "GET"}, Alarms)).alarms

    async def disarm(self, alarm: Alarm) -> None:
        """Take an alarm back; etcd raises it again while its cause is there."""
        body = {"action": "DEACTIVATE", "memberID": str(alarm.member), "alarm": alarm.alarm}
        await self._client.call("maintenance/alarm", body, Alarms)

    async def _at(self, peer_url: str) -> Member | None:
        return next((member for member in await self.member_list() if peer_url in member.peer_urls), None)

    async def _change(self, path: str, body: dict[str, object]) -> Members:
        return await self._client.call(path, body, Members, deadline=CHANGES, attempt=CHANGE)

    async def _at_member(self, url: str, path: str, kind: type[A], seconds: float = 1.0) -> A:
        try:
            return await self._client.attempt(url, path, {}, kind, seconds=seconds)
        except Again as err:
            raise Unavailable(f"a member of the database does not answer: {err.reason}") from err

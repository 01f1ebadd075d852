"""etcd's own housekeeping: old revisions forgotten, space given back member by member, alarms taken back."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence

from agent.adapters.etcd.client import EtcdClient
from agent.adapters.etcd.cluster import Cluster
from agent.adapters.etcd.errors import Again, Compacted
from agent.adapters.etcd.keys import Layout
from agent.adapters.etcd.members import quorum
from agent.adapters.etcd.wire import Alarm, Member, Ranged, Status, get
from agent.errors import Conflict, NotFound, Unavailable

KEEP = 10_000
"""Revisions that are kept for watches that were cut off; an etcd that is full keeps none."""
WORTH = 2**20
"""Bytes below which a defragmentation is not worth that a member stands still."""
COMPACT, DEFRAGMENT, DISARM = "compact", "defragment:", "disarm"

_FULL = "NOSPACE"
_PAGE = 500


class Upkeep:
    """Checks and clean-up work. Every method raises Unavailable, NoQuorum among them."""

    def __init__(self, client: EtcdClient, layout: Layout) -> None:
        self._client = client
        self._layout = layout
        self._cluster = Cluster(client)

    async def check(self) -> list[str]:
        """What is wrong with the members, and whether each of them holds the same records."""
        members = await self._cluster.member_list()
        names = {member.id: member.name or "that has not started" for member in members}
        found = [told(alarm, names) for alarm in await self._cluster.alarms()]
        statuses = await self._cluster.statuses(members)
        found += [f"member {names[m.id]} does not answer" for m in members if m.id not in statuses]
        found += [f"member {names[one]} knows no leader" for one, status in statuses.items() if not status.leader]
        revision = (await self._client.range(self._layout.current)).header.revision
        digests = {}
        for member in members:
            if member.id in statuses:
                digests[member.name] = await self._digest(member.client_urls[0], revision)
        if len(set(digests.values()) - {None}) > 1:
            found.append(f"members {', '.join(sorted(digests))} do not hold the same records")
        return found

    async def size(self) -> int:
        """Bytes of the database file of the member that is asked."""
        return (await self._cluster.status(self._client.endpoints.best)).size

    async def reclaimable(self) -> dict[str, int]:
        """Compaction, each member's defragmentation (the leader's last) and alarms, in the order to do them."""
        members = await self._cluster.member_list()
        full = any(alarm.alarm == _FULL for alarm in await self._cluster.alarms())
        found: dict[str, int] = {}
        if full or await self._old_revision():
            found[COMPACT] = 0
        statuses = await self._cluster.statuses(members)
        for member in sorted(members, key=lambda member: _leads(statuses.get(member.id))):
            status = statuses.get(member.id)
            if member.name and status is not None and (full or status.size - status.in_use >= WORTH):
                found[DEFRAGMENT + member.name] = status.size - status.in_use
        if full:
            found[DISARM] = 0
        return found

    async def reclaim(self, action: str) -> int:
        """Do one of them; the bytes freed. Raises NotFound for any other word, Conflict where it would do harm."""
        if action == COMPACT:
            await self._compact()
        elif action == DISARM:
            for alarm in await self._cluster.alarms():
                if alarm.alarm == _FULL:
                    await self._cluster.disarm(alarm)
        elif action.startswith(DEFRAGMENT):
            return await self._defragment(action.removeprefix(DEFRAGMENT))
        else:
            raise NotFound(f"the database knows no action {action!r}")
        return 0

    async def _compact(self) -> None:
        full = any(alarm.alarm == _FULL for alarm in await self._cluster.alarms())
        newest = (await self._client.range(self._layout.current)).header.revision
        revision = newest if full else newest - KEEP
        if revision > 0:
            await self._cluster.compact(revision)

    async def _old_revision(self) -> bool:
        """Whether revisions are remembered that are older than what is kept."""
        newest = (await self._client.range(self._layout.current)).header.revision
        if newest <= KEEP + KEEP // 10:
            return False
        try:
            await self._client.range(self._layout.current, revision=newest - KEEP - KEEP // 10)
        except Compacted:
            return False
        return True

    async def _defragment(self, name: str) -> int:
        members = await self._cluster.member_list()
        member = next((member for member in members if member.name == name), None)
        if member is None or not member.client_urls:
            raise NotFound(f"the database has no member {name}")
        statuses = await self._cluster.statuses(members)
        refuse_harm(member, members, statuses)
        url = member.client_urls[0]
        await self._cluster.defragment(url)
        return max(0, statuses[member.id].size - (await self._cluster.status(url)).size)

    async def _digest(self, url: str, revision: int) -> str | None:
        """What a member itself holds of our keys at a revision; None when it cannot tell."""
        digest = hashlib.sha256()
        begin, end = self._layout.everything
        for _ in range(10):
            body = get(begin, end, revision=revision, limit=_PAGE) | {"serializable": True}
            try:
                page = await self._client.attempt(url, "kv/range", body, Ranged)
            except Conflict:  # it has not come as far yet
                await asyncio.sleep(0.1)
                continue
            except (Again, Unavailable):
                return None
            for kv in page.kvs:
                digest.update(b"%b\0%d\0%b\0" % (kv.key, kv.mod_revision, kv.value))
            if not page.more:
                return digest.hexdigest()
            begin = page.kvs[-1].key + b"\0"
        return None


def told(alarm: Alarm, names: dict[int, str]) -> str:
    """An alarm for people, with what to do."""
    who = names.get(alarm.member, f"{alarm.member:x}")
    if alarm.alarm == _FULL:
        return f"etcd has reached its quota at member {who} and takes no more writes: see POST /database/clean"
    return f"etcd has raised the alarm {alarm.alarm} for member {who}: replace that member (leave and join again)"


def refuse_harm(member: Member, members: Sequence[Member], statuses: dict[int, Status]) -> None:
    """Raises Conflict when the rest could not go on while this member stands still; one and two never can."""
    voters = [one.id for one in members if not one.learner]
    needed = quorum(len(voters)) if len(voters) > 2 else len(voters) - 1
    others = sum(one in statuses and statuses[one].leader != 0 for one in voters if one != member.id)
    if member.id not in statuses or others < needed:
        raise Conflict("not every member that is needed answers: the database would stand still meanwhile")


def _leads(status: Status | None) -> bool:
    return status is not None and status.leader == status.header.member_id

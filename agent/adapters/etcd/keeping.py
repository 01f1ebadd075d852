"""Keeping the engine in force as it must be: its unit runs from the right files, what is not in force is put aside."""

from __future__ import annotations

import contextlib

import structlog

from agent.adapters.etcd.choice import ETCD, Choice
from agent.adapters.etcd.cluster import Cluster
from agent.adapters.etcd.founding import Founder
from agent.adapters.etcd.leftovers import put_aside
from agent.adapters.etcd.members import objection
from agent.adapters.etcd.membership import EtcdMembership
from agent.adapters.etcd.opening import Opened
from agent.adapters.etcd.settings import BEGINS, DATABASE, Member, render
from agent.adapters.etcd.transfer import blocking
from agent.adapters.etcd.unit import EtcdUnit
from agent.adapters.sqlite.store import SqliteStore
from agent.errors import AgentError, Conflict, Unavailable
from agent.hostfiles import ENGINE_UNIT
from agent.ports import Store
from agent.records.locks import Locks

log = structlog.get_logger()

READY = 15.0
"""Seconds that a pass waits for a member to be ready; without a quorum it is not, and goes on trying by itself."""
LONGEST_PAUSE = 60.0
"""Seconds between two starts of a member that does not stay up; systemd itself starts again what crashed."""

LOCK = "database-member"
"""The lock of whoever restarts its member: the others could not do without two."""

MEMBER_DOWN, MEMBER_LOST = "member-down", "member-lost"
"""Codes: this head's own member does not stay up; it has no data, and must not be started."""


class Keeper:
    """Follows the choice. Every pass does what is left to do, whatever the pass before came to."""

    def __init__(self, founder: Founder, store: Store) -> None:
        self._founder = founder
        self._config = founder.config
        self._pause = 0.0
        self._not_before = 0.0
        # Whoever is down while it restarts its member loses its turn by not moving, as any lock does.
        self._locks = Locks(store, founder.config.head.uid, founder.clock, lambda _head: False)

    async def follow(self, choice: Choice, opened: Opened, *, changing: bool = False) -> None:
        """Have everything be as the choice says. Raises Unavailable with what stands in the way.

        `changing`: in the middle of a change of engines, when no member that runs is restarted for its CAs: the heads
        are not known yet, and nothing can be locked.
        """
        if choice.directory:
            await self._keep_running(self._founder.member(choice.directory), choice, opened, changing=changing)
        else:
            await self._founder.unit().stop()
            if choice.engine == ETCD and not self._config.etcd.endpoints and not changing:
                await self._believe()
        moved = await blocking(lambda: put_aside(self._config.state.directory, self._config.database.path, choice))
        if moved:
            log.warning("Database put aside that is not in force", files=[path.name for path in moved])
        if isinstance(opened.store, SqliteStore):
            await opened.store.reopen_if_needed()

    async def _keep_running(self, member: Member, choice: Choice, opened: Opened, *, changing: bool) -> None:
        unit = self._founder.unit()
        settings, authorities = render(member, choice.token, choice.peers), await self._authorities()
        answers = await self._answers(member, opened)
        same = await unit.runs_from(settings, authorities)
        if not answers and not await blocking(lambda: _has_data(member)):
            # Begun anew under its old id it would have forgotten what it agreed to.
            raise Unavailable(f"the data of this head's database member are gone: {member.data}", code=MEMBER_LOST)
        if answers:
            self._pause, self._not_before = 0.0, 0.0
            await unit.has_begun()
        elif same:
            await self._start_again(unit, settings, authorities)
        else:
            await self.move(member, opened)
            await unit.run(settings, authorities, timeout=READY)
        if not answers or changing:
            return
        if not same:
            await self.move(member, opened)
            await self._restart(member, settings, authorities, opened)
        await self._locks.give_back_left(LOCK)  # at once after the restart etcd may not have taken it

    async def _start_again(self, unit: EtcdUnit, settings: str, authorities: str) -> None:
        """Start a member that does not answer: less and less often where it does not stay up, as a removed one."""
        now = self._founder.clock.monotonic()
        if now < self._not_before:
            why = f"this head's database member does not stay up: see `journalctl -u {ENGINE_UNIT}`"
            raise Unavailable(why, code=MEMBER_DOWN)
        self._pause = min(max(5.0, 2 * self._pause), LONGEST_PAUSE)
        self._not_before = now + self._pause
        await unit.run(settings, authorities, timeout=READY)

    async def _believe(self) -> None:
        """Have a head that only asks the members of others believe their CAs."""
        try:
            authorities = self._founder.authorities.all()
        except Unavailable:
            return  # the heads are not known: those that were believed before are kept
        await self._founder.unit().believe(authorities)

    async def _authorities(self) -> str:
        """The CAs to believe; while the heads are not known, those that were believed before."""
        try:
            return self._founder.authorities.all()
        except Unavailable:
            return await self._founder.unit().believed() or self._founder.authorities.own()

    async def _restart(self, member: Member, settings: str, authorities: str, opened: Opened) -> None:
        """Restart a member that runs: one at a time in the cluster, and only while the others can do without it."""
        members = await opened.membership.members()
        if len(members) == 1:
            await self._founder.unit().run(settings, authorities, timeout=READY)
            return
        work = "restart this head's database member"
        try:
            async with self._locks.holding(LOCK, work):
                if reason := objection(await opened.membership.members(), member.uid):
                    raise Unavailable(f"cannot {work} for its changed configuration: {reason}")
                await self._founder.unit().run(settings, authorities, timeout=READY)
        except Conflict as err:
            raise Unavailable(err.reason, code=err.code) from err
        log.info("Database member restarted for its changed configuration")

    async def move(self, member: Member, opened: Opened) -> None:
        """Tell the others where this member will be, in case that its address has changed; without them it waits."""
        if isinstance(opened.membership, EtcdMembership):
            with contextlib.suppress(AgentError):
                await opened.membership.move(member.uid, member.peer_url)

    async def _answers(self, member: Member, opened: Opened) -> bool:
        """Whether this head's member answers at all, be it without a quorum."""
        assert opened.client is not None  # it has a member: so it is etcd
        try:
            await Cluster(opened.client).status(member.client_url)
        except AgentError:
            return False
        return True


def _has_data(member: Member) -> bool:
    """Whether a member may be started: it has data, or is only about to begin."""
    return (member.data / DATABASE).exists() or (member.state / BEGINS).exists()

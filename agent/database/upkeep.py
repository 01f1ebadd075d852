"""The engine's members follow the heads: whose head has no record any more goes; this head's gets its vote."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import structlog

from agent.errors import AgentError
from agent.ports import Clock, ClusterEngine, EngineMember

log = structlog.get_logger()

JOINING = 120.0
"""Seconds that a learner is waited for which belongs to no head: its join takes less, or has failed."""


@dataclass(frozen=True, slots=True)
class Due:
    """What has to be done to the members, by uid of their heads."""

    dismiss: tuple[str, ...] = ()
    promote: tuple[str, ...] = ()


def due(members: Sequence[EngineMember], heads: Collection[str], self_uid: str, waited: Collection[str] = ()) -> Due:
    """What the members lack of being the heads. This head dismisses only others: it leaves by leaving.

    It promotes only its own: that another head will start its learner again nobody else knows, and a vote that is
    never used may stop all the others.
    A learner without a head's record may be that of a head which is joining just now: it goes once it is in `waited`.
    """
    strangers = [m for m in members if m.head not in heads and m.head != self_uid]
    return Due(
        dismiss=tuple(m.head for m in strangers if m.voter or m.head in waited),
        promote=tuple(m.head for m in members if m.head == self_uid in heads and not m.voter),
    )


class Upkeep:
    """A loop's work on every head: any of them may die in the middle of a removal or a join, and another ends it."""

    def __init__(
        self,
        engine: ClusterEngine,
        heads: Callable[[], Collection[str]],
        may_act: Callable[[], bool],
        self_uid: str,
        clock: Clock,
    ) -> None:
        """`heads`: the uids that have records; `may_act`: whether this head's side of the cluster is the majority."""
        self._engine = engine
        self._heads = heads
        self._may_act = may_act
        self._self_uid = self_uid
        self._clock = clock
        self.members: Sequence[EngineMember] = ()
        """Those of the last look; none while they cannot be asked, or while this head is in the minority."""
        self._strangers: dict[str, float] = {}
        """Members without a head's record, by when they were first seen."""

    async def reconcile(self) -> None:
        """Dismiss and promote whoever is due. Raises Unavailable while the engine cannot be asked."""
        self.members = ()
        if self._engine.kind != "etcd" or not self._may_act():
            return
        self.members = members = await self._engine.members()
        heads, now = self._heads(), self._clock.monotonic()
        self._strangers = {m.head: self._strangers.get(m.head, now) for m in members if m.head not in heads}
        waited = [head for head, since in self._strangers.items() if now - since >= JOINING]
        todo = due(members, heads, self._self_uid, waited)
        for head in todo.dismiss:
            await self._dismiss(head)
        for head in todo.promote:
            if await self._engine.promote(head):
                log.info("Database member has a vote now", head_uid=head)

    async def left_behind(self) -> Sequence[str]:
        """The removed heads whose members are still there. Raises Unavailable."""
        if self._engine.kind != "etcd":
            return ()
        return due(await self._engine.members(), self._heads(), self._self_uid).dismiss

    async def _dismiss(self, head: str) -> None:
        reason = await self._engine.objection(head)
        if head in self._heads():
            return  # it has come back while the members were asked
        if reason is None:
            try:
                await self._engine.dismiss(head)
            except AgentError as err:
                reason = err.reason
        if reason is None:
            log.info("Database member dismissed: its head has no record any more", head_uid=head)
        else:
            log.warning("Database member of a removed head is kept", head_uid=head, reason=reason)

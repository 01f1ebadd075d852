"""The database engine as one of several members; an embedded one has no others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from msgspec import Struct

from agent.model import Record


class EngineMember(Struct, frozen=True):
    """One member of the engine's cluster. `head` is the uid of its head; a learner has no vote yet."""

    head: str
    peer_url: str
    client_urls: tuple[str, ...] = ()
    voter: bool = True
    leader: bool = False
    """Whether it decides the order of writes, as it says itself."""
    healthy: bool | None = None
    """Whether it answers now; None where nobody has asked."""


class Attachment(Struct, frozen=True):
    """What a head that joins needs to attach its engine; `details` are the engine's own. Not secret."""

    engine: str
    cluster: str
    details: dict[str, Any] = {}


class ClusterEngine(Protocol):
    """This head's engine among those of the other heads. Every method raises Unavailable; `no-quorum` is its code
    when too few members are left to decide anything.

    Whatever changes members is safe to repeat: what is so already is no failure.
    """

    @property
    def kind(self) -> str:
        """`sqlite` or `etcd`."""
        ...

    async def members(self) -> Sequence[EngineMember]:
        """The members there are, by uid; for an embedded engine this head alone."""
        ...

    async def objection(self, uid: str) -> str | None:
        """Why the engine cannot do without that head's member now (the rest would lose quorum), or None."""
        ...

    async def invite(self, uid: str, peer_url: str) -> Attachment:
        """Make room for the engine of a head that joins, as a learner; raises Conflict where there can be no more."""
        ...

    async def promote(self, uid: str) -> bool:
        """Give a learner that has caught up its vote; False while it has not. Where there are voters enough, True."""
        ...

    async def dismiss(self, uid: str) -> None:
        """Take the member of a head that is gone, or goes, out of the engine's cluster."""
        ...


class LocalEngine(Protocol):
    """Which engine this head uses, and the change from one to another while the agent runs.

    After each of these the same `Store` reads from the new engine, and everybody was told through `on_change`.
    Each either succeeds or leaves everything as it was, also when the agent is killed in the middle of it: the next
    start ends what was begun or undoes it. What held the records before is moved aside, never removed.
    """

    async def attach(self, attachment: Attachment) -> None:
        """Become a member of the cluster's engine; returns once it has caught up."""
        ...

    async def found(self, kind: str, records: Sequence[Record] | None = None) -> None:
        """Begin an engine of that kind with this head as its one member, holding these records.

        None: those that the engine in force holds at that moment; commits wait meanwhile, so none is lost.
        """
        ...

    async def believed(self) -> str | None:
        """The CAs, PEM, that the engine on this head believes of the others', which were given to its process at its
        start; None where it talks to none of theirs.
        """
        ...

    async def rescue(self) -> None:
        """After the quorum is gone for good: go on as the one member, with the newest records that this head has."""
        ...

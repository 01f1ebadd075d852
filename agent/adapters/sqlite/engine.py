"""The embedded engine as one that has no other members: each head keeps its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from typing_extensions import override

from agent.errors import Conflict
from agent.model import Record
from agent.ports import Attachment, ClusterEngine, EngineMember, LocalEngine


class EmbeddedEngine(ClusterEngine, LocalEngine):
    """Nothing to invite to, to leave or to take over: the heads' lists alone make a cluster of it."""

    def __init__(self, self_uid: str, cluster: Callable[[], str]) -> None:
        """`cluster` gives the cluster's id; raises Unavailable."""
        self._self_uid = self_uid
        self._cluster = cluster

    @property
    @override
    def kind(self) -> str:
        """The embedded engine's name."""
        return "sqlite"

    @override
    async def members(self) -> Sequence[EngineMember]:
        """This head alone."""
        return (EngineMember(self._self_uid, "", healthy=True),)

    @override
    async def objection(self, uid: str) -> str | None:
        """There is none: nobody needs another head's database."""
        return None

    @override
    async def invite(self, uid: str, peer_url: str) -> Attachment:
        """A head that joins keeps its own database."""
        return Attachment("sqlite", self._cluster())

    @override
    async def promote(self, uid: str) -> bool:
        """Every head decides over its own database."""
        return True

    @override
    async def dismiss(self, uid: str) -> None:
        """There is no member to take out."""

    @override
    async def attach(self, attachment: Attachment) -> None:
        """Raises Conflict: a file is never shared."""
        raise Conflict("cannot attach to the cluster's database: each head has its own", code="engine")

    @override
    async def found(self, kind: str, records: Sequence[Record] | None = None) -> None:
        """Raises Conflict: this head has its database already."""
        raise Conflict("cannot begin another database: this head has its own", code="engine")

    @override
    async def believed(self) -> None:
        """It talks to nobody."""

    @override
    async def rescue(self) -> None:
        """Raises Conflict: there is no quorum to lose."""
        raise Conflict("cannot recover: this head's database needs no other head", code="engine")

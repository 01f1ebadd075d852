"""The embedded engine as one that has no other members: each head keeps its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from typing_extensions import override

from agent.ports import Attachment, ClusterEngine, EngineMember


class EmbeddedMembership(ClusterEngine):
    """Nothing to invite to or to be dismissed from: the heads' lists alone make a cluster of it."""

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

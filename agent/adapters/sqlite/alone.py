"""The embedded engine among engines: each head has one of its own, which has no members."""

from __future__ import annotations

from collections.abc import Sequence

from agent.ports import Attachment, EngineMember


class EmbeddedMembership:
    """`ClusterEngine` of a head on SQLite: this head is the one member, and nothing depends on others."""

    kind = "sqlite"

    def __init__(self, self_uid: str) -> None:
        self._self_uid = self_uid

    async def members(self) -> Sequence[EngineMember]:
        """This head alone."""
        return (EngineMember(self._self_uid, "", healthy=True),)

    async def objection(self, uid: str) -> str | None:
        """Nobody needs another head's file."""
        return None

    async def invite(self, uid: str, peer_url: str) -> Attachment:
        """There is nothing to attach to: the head that joins goes on with a file of its own."""
        return Attachment(self.kind, "")

    async def promote(self, uid: str) -> bool:
        """There are no votes."""
        return True

    async def dismiss(self, uid: str) -> None:
        """No other head is a member."""

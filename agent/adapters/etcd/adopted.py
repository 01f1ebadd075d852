"""An etcd of the site's own, used as it is: its members are the site's business."""

from __future__ import annotations

from collections.abc import Sequence

from agent.adapters.etcd.client import EtcdClient
from agent.adapters.etcd.cluster import Cluster
from agent.ports import Attachment, EngineMember


class AdoptedMembership:
    """`ClusterEngine` over `[etcd] endpoints`: no head has a member there, so none is missed, invited or dismissed."""

    kind = "etcd"

    def __init__(self, client: EtcdClient) -> None:
        self._client = client
        self._cluster = Cluster(client)

    async def members(self) -> Sequence[EngineMember]:
        """None of the heads'."""
        return ()

    async def objection(self, uid: str) -> str | None:
        """Its quorum does not depend on the heads."""
        return None

    async def invite(self, uid: str, peer_url: str) -> Attachment:
        """Tell a head that joins that it must have the site's etcd in its own configuration."""
        await self._cluster.member_list()
        return Attachment(self.kind, f"{self._client.cluster_id or 0:x}", {"adopted": True})

    async def promote(self, uid: str) -> bool:
        """The site's etcd has voters enough."""
        return True

    async def dismiss(self, uid: str) -> None:
        """No head has a member there."""

"""Leaving the cluster: whether this head has one to leave."""

from __future__ import annotations

from collections.abc import Collection
from typing import NoReturn

from agent.errors import Conflict
from agent.model import Kind
from agent.ports import Store


def cannot_leave(self_uid: str, heads: Collection[str]) -> Conflict:
    """Why a head on the embedded engine has nothing to leave; `heads` are the uids of all records."""
    others = len(set(heads) - {self_uid})
    if not others:
        return Conflict("cannot leave: this head is alone and has never had a peer; nothing was changed", code="alone")
    return Conflict(
        f"cannot leave: this head has never joined a cluster. The records of {others} other head(s) were registered by "
        "hand and share nothing with this head's database; DELETE /head/<uid> takes one away. Nothing was changed",
        code="never-joined",
    )


class Membership:
    """This head's part in the engine's cluster; an embedded engine holds this head alone."""

    def __init__(self, store: Store, self_uid: str) -> None:
        self._store = store
        self._self_uid = self_uid

    async def leave(self) -> NoReturn:
        """Leave the cluster; raises Conflict with the reason when there is none to leave, or Unavailable."""
        raise cannot_leave(self._self_uid, [record.uid for record in await self._store.records(Kind.HEAD)])

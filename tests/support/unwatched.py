"""A watch without heartbeats, for what is to be tried without a detector."""

from __future__ import annotations

from datetime import datetime

from agent.heads.liveness import Condition, Outlook, State, Watch, standing
from agent.heads.members import Members
from agent.model import rfc3339


def unwatched(started: datetime) -> Watch:
    """The outlook of a head that hears no heartbeats: itself is up, of the others nothing is known."""

    def look(members: Members, now: datetime) -> Outlook:
        conditions = dict.fromkeys(members.heads, Condition(State.UNKNOWN))
        if members.self_uid in conditions:
            conditions[members.self_uid] = Condition(State.UP, rfc3339(now), rfc3339(started))
        return Outlook(standing(members.heads, (), members.self_uid), "local", conditions)

    return look

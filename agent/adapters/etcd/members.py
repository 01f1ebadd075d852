"""The members of the agents' own etcd: who votes, whom it can do without, how one comes and goes."""

from __future__ import annotations

from collections.abc import Sequence

from agent.ports import EngineMember

WAY_OUT = "bring members back; when they are gone for good, `cw-headctl database recover` on the one head to go on with"
VOTERS = 5
"""The most members with a vote. More would only slow each write down; further heads use the others' endpoints."""


def quorum(voters: int) -> int:
    """How many of them must be there for anything to be decided."""
    return voters // 2 + 1


def has_quorum(members: Sequence[EngineMember]) -> bool:
    """Whether enough of the voters answer now."""
    voters = [member for member in members if member.voter]
    return sum(bool(member.healthy) for member in voters) >= quorum(len(voters))


def objection(members: Sequence[EngineMember], head: str) -> str | None:
    """Why that head's member cannot be taken out now, or None; a member whose health is not known counts as dead.

    Raft lets go of a member only by a majority of all, the one that goes included; the majority of those that remain
    must then be there too, or nothing could be written any more.
    """
    voters = [member for member in members if member.voter]
    if head not in {member.head for member in voters}:
        return None
    rest = [member for member in voters if member.head != head]
    if not rest:
        return "it is the database's last member, and its records would be gone"
    alive = sum(bool(member.healthy) for member in rest)
    if alive < quorum(len(rest)):
        if len(rest) == 1:
            return "the database would lose its quorum: the one member that would remain does not answer"
        return (
            f"the database would lose its quorum: of the {len(rest)} members that would remain {_answering(alive)}, "
            f"and {quorum(len(rest))} must"
        )
    if not has_quorum(members):
        return f"the database has no quorum: of its {len(voters)} members {_answering(alive)}: {WAY_OUT}"
    return None


def _answering(alive: int) -> str:
    match alive:
        case 0:
            return "none answers"
        case 1:
            return "one answers"
        case _:
            return f"{alive} answer"

"""What every engine answers to a change that cannot be made, in the same words."""

from __future__ import annotations

from agent.errors import Conflict, NotFound, Stale
from agent.ports import ABSENT, Change, Delete, Put


def expect(change: Change, present: int | None) -> None:
    """Compare what a change expects with the record's present revision, None where there is no record.

    Raises Conflict (code `exists`), NotFound or Stale.
    """
    who = f"{change.kind} {change.uid}"
    if isinstance(change, Put) and change.expect == ABSENT:
        if present is not None:
            raise Conflict(f"there is already a {who}", code="exists")
    elif present is None and (isinstance(change, Delete) or change.expect is not None):
        raise NotFound(f"there is no {who}")
    elif change.expect is not None and change.expect != present:
        raise Stale(f"{who} has changed since: read it again")


def name_taken(put: Put) -> Conflict:
    """Another record of the kind has that name."""
    return Conflict(f"there is already a {put.kind} named {put.name!r}", code="name-taken")

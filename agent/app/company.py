"""What the rooms of files and of records need to know of the other heads."""

from __future__ import annotations

from collections.abc import Callable

from agent.files.everywhere import Company
from agent.heads.directory import HeadDirectory
from agent.heads.liveness import Condition, Standing, State
from agent.heads.registry import HeadRegistry
from agent.ports import StoreEngine

_UNKNOWN = Condition(State.UNKNOWN)


def company(registry: HeadRegistry, heads: HeadDirectory, engine: StoreEngine) -> Callable[[], Company]:
    """The other heads, and which of them are not up; raises Unavailable while that cannot be known."""

    def look() -> Company:
        conditions = heads.outlook().conditions
        states = {
            uid: conditions.get(uid, _UNKNOWN).state for uid in registry.members.heads if uid != registry.self_uid
        }
        whys = {uid: None if state is State.UP else f"is {state}" for uid, state in states.items()}
        return Company(engine.kind != "sqlite", whys)

    return look


def minority(heads: HeadDirectory) -> Callable[[], bool]:
    """Whether this head hears too few of the others to act."""
    return lambda: heads.outlook().standing is Standing.MINORITY


def majority(heads: HeadDirectory) -> Callable[[], bool]:
    """Whether this head's side of the cluster may act for all."""
    return lambda: heads.outlook().standing is not Standing.MINORITY


def gone(registry: HeadRegistry, heads: HeadDirectory) -> Callable[[str], bool]:
    """Whether a head is down, or not in the cluster any more."""

    def look(uid: str) -> bool:
        if uid not in registry.members.heads:
            return True
        return heads.outlook().conditions.get(uid, _UNKNOWN).state is State.DOWN

    return look

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
    """The other heads, and which of them are not up; raises Unavailable while that cannot be known.

    An agent writes its url into its head's record. One without was registered by hand: it has no agent to ask, and no
    objects of its own.
    """

    def look() -> Company:
        conditions = heads.outlook().conditions
        uids = [uid for uid, head in registry.members.heads.items() if head.url and uid != registry.self_uid]
        states = {uid: conditions.get(uid, _UNKNOWN).state for uid in uids}
        whys = {uid: None if state is State.UP else f"is {state}" for uid, state in states.items()}
        return Company(engine.kind != "sqlite", whys)

    return look


def minority(registry: HeadRegistry, heads: HeadDirectory) -> Callable[[], bool]:
    """Whether this head hears too few of the others to act; with none that has an agent there is nobody to hear."""

    def look() -> bool:
        others = [head for uid, head in registry.members.heads.items() if head.url and uid != registry.self_uid]
        return bool(others) and heads.outlook().standing is Standing.MINORITY

    return look


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

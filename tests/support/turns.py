"""Whose turn it is, over a store of the test's."""

from __future__ import annotations

from collections.abc import Callable, Collection

from agent.adapters.clock import SystemClock
from agent.ports import Store, StoreEngine
from agent.records.locks import Locks
from agent.records.turns import Turns


def always(
    store: Store, engine: StoreEngine, minority: Callable[[], bool] = lambda: False, gone: Collection[str] = ()
) -> Turns:
    """The turns of a head that hears all others but those that are `gone`, unless it is in the `minority`."""
    return Turns(store, engine, Locks(store, "a" * 32, SystemClock(), lambda uid: uid in gone), minority)

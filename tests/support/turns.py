"""Whose turn it is, over a store of the test's."""

from __future__ import annotations

from agent.adapters.clock import SystemClock
from agent.ports import Store, StoreEngine
from agent.records.locks import Locks
from agent.records.turns import Turns


def always(store: Store, engine: StoreEngine) -> Turns:
    """The turns of a head that hears all others, none of whom is ever gone."""
    return Turns(store, engine, Locks(store, "a" * 32, SystemClock(), lambda _uid: False), lambda: False)

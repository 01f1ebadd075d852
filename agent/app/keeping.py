"""What this head keeps: the file store and the database's upkeep."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass

from agent.adapters.clock import SystemClock
from agent.adapters.disk import Disk
from agent.adapters.filestore.directory import DirectoryStore
from agent.app.cluster import Cluster
from agent.app.company import company, gone, minority
from agent.config import Live
from agent.database.backups import Backups
from agent.database.cleaning import Cleaner
from agent.files.collector import Collector
from agent.files.everywhere import EveryHead
from agent.files.references import OwnReferences
from agent.loops import Loops
from agent.records.locks import Locks
from agent.records.turns import Turns


@dataclass(frozen=True, slots=True)
class Keeping:
    """The rooms of the files and of the database."""

    references: OwnReferences
    collector: Collector
    backups: Backups
    cleaner: Cleaner
    state_disk: Disk
    store_disk: Disk


def keeping(live: Live, stack: AsyncExitStack, cluster: Cluster, clock: SystemClock, loops: Loops) -> Keeping:
    """Build them."""
    config, registry, store = live.config, cluster.registry, cluster.engine.store
    state, root = config.state.directory, config.files.root
    own = OwnReferences(store, live)
    references = EveryHead(own, cluster.peers, company(registry, cluster.directory, store))
    locks = Locks(store, config.head.uid, clock, gone(registry, cluster.directory))
    turns = Turns(store, store, locks, minority(registry, cluster.directory))
    files, state_disk, store_disk = DirectoryStore(root), Disk(state), Disk(root)
    for opened in (files, state_disk, store_disk):
        stack.callback(opened.close)
    collector = Collector(files, references, own, turns, live, loops, clock)
    backups = Backups(store, state / "backups", live, clock, registry.load)
    cleaner = Cleaner(store, store, collector.housekeeping, backups, turns, live, clock)
    return Keeping(own, collector, backups, cleaner, state_disk, store_disk)

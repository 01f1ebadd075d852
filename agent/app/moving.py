"""What takes heads into a cluster and out of it."""

from __future__ import annotations

import os
from dataclasses import dataclass

from agent.adapters.clock import SystemClock
from agent.adapters.etcd.settings import url
from agent.adapters.identity.credentials import HeadCredentials
from agent.adapters.note import NoteFile
from agent.adapters.peers.introductions import HttpIntroductions
from agent.app.cluster import Cluster
from agent.config import Config, Live
from agent.database.backups import Backups
from agent.database.membership import Membership
from agent.heads.admission import Admission
from agent.heads.joining import Joining, Means
from agent.heads.parting import Parting


@dataclass(frozen=True, slots=True)
class Moving:
    """The rooms of joining and leaving."""

    admission: Admission
    joining: Joining
    parting: Parting
    membership: Membership


def moving(live: Live, cluster: Cluster, backups: Backups, clock: SystemClock) -> Moving:
    """Build them."""
    config, engine, place = live.config, cluster.engine, cluster.place
    registry, peers, store = cluster.registry, cluster.peers, cluster.engine.store
    state, uid = config.state.directory, config.head.uid

    def credentials() -> HeadCredentials:
        return HeadCredentials(state, uid, place, cluster.certificate.keeper(), clock)

    means = Means(
        lambda: engines(config),
        lambda: None if config.etcd.endpoints else engine_url(place().addresses, config.etcd.peer_port),
        backups.write,
        backups.doing,
    )
    return Moving(
        Admission(store, registry, cluster.directory, credentials, engine, clock),
        Joining(store, registry, credentials, HttpIntroductions(clock), peers, engine, engine, means, clock),
        Parting(store, registry, clock),
        Membership(
            store,
            uid,
            peers,
            engine,
            engine,
            credentials,
            backups,
            NoteFile(state / "leaving.json"),
            clock,
            registry.load,
        ),
    )


def engines(config: Config) -> tuple[str, ...]:
    """The database engines that this head could use, as its configuration and its disk say."""
    runs_etcd = bool(config.etcd.endpoints) or os.access(config.etcd.binary, os.X_OK)
    possible = ("sqlite", *(("etcd",) if runs_etcd else ()))
    return tuple(engine for engine in possible if config.database.engine in ("auto", engine))


def engine_url(addresses: tuple[str, ...], port: int) -> str | None:
    """Where the agent's own etcd would talk to its peers; None for a head that others cannot reach."""
    return url(addresses[0], port) if addresses else None

"""The rooms that handlers may enter, built once by `agent.app`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agent.api.links import Links
from agent.api.metrics.instruments import Instruments
from agent.api.streams import Streams
from agent.api.traffic import Traffic
from agent.config import Live
from agent.database.backups import Backups
from agent.database.checking import Checker
from agent.database.cleaning import Cleaner
from agent.database.engines import Engines
from agent.database.loading import Loader
from agent.database.membership import Membership
from agent.diagnosis.doctor import Doctor
from agent.files.collector import Collector
from agent.files.references import OwnReferences
from agent.heads.admission import Admission
from agent.heads.directory import HeadDirectory
from agent.heads.gossip import Gossip
from agent.heads.identity import Identity
from agent.heads.joining import Joining
from agent.heads.members import Members
from agent.heads.parting import Parting
from agent.heads.rotation import Rotation
from agent.heads.tokens import TokenMaker
from agent.loops import Loops
from agent.model import Kind
from agent.ports import Dependency, StoreEngine, StreamingPeers
from agent.records import Records
from agent.services.supervisor import Supervisor


@dataclass(frozen=True, slots=True)
class Rooms:
    """Everything behind the HTTP interface, by name."""

    live: Live
    loops: Loops
    traffic: Traffic
    """Requests, counted as they are answered."""
    instruments: Instruments
    """What only GET /metrics reads."""
    dependencies: tuple[Dependency, ...]
    """What GET /readyz asks: D-Bus, the database, the file store."""
    doctor: Doctor
    """Says what is wrong with this head."""
    openapi: Callable[[], bytes]
    """GET /openapi.json's bytes, made once."""
    heads: HeadDirectory
    objects: Mapping[Kind, Records]
    """The standard verbs for images, boot configurations and repositories."""
    collector: Collector
    references: OwnReferences
    """What the objects in this head's own store refer to."""
    cleaner: Cleaner
    backups: Backups
    checker: Checker
    loader: Loader
    """All records as one document."""
    engines: Engines
    """From one engine to another."""
    membership: Membership
    """This head's own part in the cluster, which it can give up."""
    admission: Admission
    """Lets other heads in."""
    joining: Joining
    """Takes this head into another cluster."""
    parting: Parting
    """Hears of heads that leave."""
    rotation: Rotation
    """The exchange of the cluster's CA."""
    engine: StoreEngine
    """The engine behind the records."""
    engine_url: Callable[[], str | None]
    """Where the etcd that this head's agent runs talks to its peers; None where it runs none."""
    store_age: Callable[[], float | None]
    """How old, in seconds, what is read from the records may be; None while it is the newest."""
    members: Callable[[], Members]
    """Who is in the cluster now; raises Unavailable while the database is away."""
    identity: Callable[[], Identity]
    """What this head's certificate says now."""
    peers: StreamingPeers
    """The other heads' agents."""
    streams: Streams
    """The readers of Server-Sent Events."""
    links: Links
    """The heartbeat links that they have opened to this one."""
    gossip: Gossip
    """This head's list of heads, where the engine does not share it."""
    token_maker: TokenMaker
    supervisor: Supervisor
    """The services of this head."""

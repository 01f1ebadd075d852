"""The ports: what the rooms need of the world, as Protocols whose docstrings are the contract.

Every adapter, and every fake of one, passes the same contract suite (`tests/contracts`).
"""

from agent.ports.authority import Authority, CaPair, CaState, Step
from agent.ports.credentials import CertificateRequest, Credentials, Issued, Registrar
from agent.ports.engine import Attachment, ClusterEngine, EngineMember, LocalEngine
from agent.ports.files import FileStore, Leftover, References, Sighting, StoreHousekeeping, walk_key
from agent.ports.peers import CHANGED, LARGE, SMALL, Introductions, PeerAnswer, Peers, StreamingPeers
from agent.ports.records import ABSENT, Change, Delete, Put, Store, StoreEngine
from agent.ports.surroundings import Clock, Dependency
from agent.ports.units import Changed, Gone, Lost, Snapshot, Unit, UnitEvent, UnitManager, Verb

__all__ = [
    "ABSENT",
    "CHANGED",
    "LARGE",
    "SMALL",
    "Attachment",
    "Authority",
    "CaPair",
    "CaState",
    "CertificateRequest",
    "Change",
    "Changed",
    "Clock",
    "ClusterEngine",
    "Credentials",
    "Delete",
    "Dependency",
    "EngineMember",
    "FileStore",
    "Gone",
    "Introductions",
    "Issued",
    "Leftover",
    "LocalEngine",
    "Lost",
    "PeerAnswer",
    "Peers",
    "Put",
    "References",
    "Registrar",
    "Sighting",
    "Snapshot",
    "Step",
    "Store",
    "StoreEngine",
    "StoreHousekeeping",
    "StreamingPeers",
    "Unit",
    "UnitEvent",
    "UnitManager",
    "Verb",
    "walk_key",
]

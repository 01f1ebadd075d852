"""The configuration of the agent's own etcd: one YAML file, which is JSON here, as every JSON text is YAML."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SETTINGS = "etcd.yaml"
"""The configuration's file in the agent's state directory; without it the unit does not start."""
AUTHORITIES = "etcd-ca.pem"
"""The file with the CAs that the agent and its etcd believe of each other."""
CERTIFICATE = "head.pem"
"""The head's certificate and key: shown as etcd's server, as its peer, and as the agent."""
LINK = "etcd.data"
"""A link to the data directory: systemd starts no member whose data are gone, as it would begin anew."""
BEGINS = "etcd.begins"
"""The file that lets a member start all the same, as it has no data yet."""
DATABASE = "member/snap/db"
"""Of a data directory: the file without which etcd takes it for a new member's."""
HEARTBEAT = 100
ELECTION = 1000
"""Milliseconds. A dead leader costs about two seconds of writes; more would be kinder to links that lose packets."""
QUOTA = 2 * 2**30
"""Bytes that the database may grow to before etcd refuses writes (etcd's own default, said aloud)."""
COMPACTION = "1h"
"""How long old revisions are kept for watches that were cut off."""
TXN_OPERATIONS = 4096
"""The most operations in one transaction: a commit of many records and their indexes is one."""
REQUEST_BYTES = 8 * 2**20
"""The largest request; a record's body is at most 1 MiB (`api.max_body`), and a commit may hold several."""


def url(address: str, port: int) -> str:
    """The URL of one of etcd's two ports."""
    return f"https://[{address}]:{port}" if ":" in address else f"https://{address}:{port}"


@dataclass(frozen=True, slots=True)
class Member:
    """One member of the agent's own etcd: this head's."""

    uid: str
    address: str
    """The head's own address that the others use: etcd checks it against the certificate of whoever calls."""
    client_port: int
    peer_port: int
    state: Path
    """The agent's state directory."""
    directory: str
    """The data directory's name in it."""

    @property
    def client_url(self) -> str:
        """Where it answers agents."""
        return url(self.address, self.client_port)

    @property
    def peer_url(self) -> str:
        """Where it talks to its peers."""
        return url(self.address, self.peer_port)

    @property
    def data(self) -> Path:
        """Its data directory: never that of the distribution's etcd."""
        return self.state / self.directory

    @property
    def authorities(self) -> Path:
        """The CAs whose certificates it takes."""
        return self.state / AUTHORITIES

    @property
    def certificate(self) -> Path:
        """The head's certificate and key, which it shows as server, as peer and as client."""
        return self.state / CERTIFICATE


def render(member: Member, token: str, peers: Mapping[str, str] | None = None, *, alone: bool = False) -> str:
    """The configuration file's text.

    `peers`: name and peer URL of every member of a cluster to come into; None begins a new one, of this member alone.
    `alone`: forget all other members of the cluster that the data directory holds (`--force-new-cluster`).
    """
    tls = {
        "cert-file": str(member.certificate),
        "key-file": str(member.certificate),
        "trusted-ca-file": str(member.authorities),
        "client-cert-auth": True,
    }
    everybody = {member.uid: member.peer_url} if peers is None else {**peers, member.uid: member.peer_url}
    settings = {
        "name": member.uid,
        "data-dir": str(member.data),
        "listen-client-urls": member.client_url,
        "advertise-client-urls": member.client_url,
        "listen-peer-urls": member.peer_url,
        "initial-advertise-peer-urls": member.peer_url,
        "initial-cluster": ",".join(f"{name}={peer_url}" for name, peer_url in sorted(everybody.items())),
        "initial-cluster-state": "new" if peers is None else "existing",
        "initial-cluster-token": token,
        "client-transport-security": tls,
        "peer-transport-security": tls,
        # Agents ask over JSON. With a configuration file etcd 3.4 has that off, whatever its flag's default.
        "enable-grpc-gateway": True,
        "pre-vote": True,
        "strict-reconfig-check": True,
        "heartbeat-interval": HEARTBEAT,
        "election-timeout": ELECTION,
        "quota-backend-bytes": QUOTA,
        "auto-compaction-mode": "periodic",
        "auto-compaction-retention": COMPACTION,
        "max-txn-ops": TXN_OPERATIONS,
        "max-request-bytes": REQUEST_BYTES,
        "logger": "zap",
        "log-outputs": ["stderr"],
        # etcd 3.4 warns of every single request over JSON that it does not take its certificate's name for a user.
        "log-level": "error",
        **({"force-new-cluster": True} if alone else {}),
    }
    return json.dumps(settings, indent=1) + "\n"


def data_directory(settings: str) -> Path:
    """Where the member of such a configuration keeps its data."""
    return Path(json.loads(settings)["data-dir"])

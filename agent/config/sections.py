"""Every section and key, with its default, what it may be, and what it is for.

`etc/head-agent.ini` is written from this file (`make etc`), and a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from agent.config.values import (
    ADDRESSES,
    DOTTED,
    OPTIONAL_PATH,
    PATH,
    PATTERNS,
    SWITCH,
    UID,
    URL,
    URLS,
    Value,
    as_text,
    duration,
    number,
    one_of,
    percent,
    size,
    words,
)

T = TypeVar("T")


def key(default: T, kind: Value[T], meaning: str, *, restart: bool = False) -> T:
    """A key of a section; `restart`: a reload cannot change it."""
    return field(default=default, metadata={"kind": kind, "meaning": meaning, "restart": restart})


@dataclass(frozen=True, slots=True)
class Head:
    """Who this head is."""

    uid: str = key("", UID, "This head's UID. Left empty, it is read from base.ini (base_ini_uid_key).", restart=True)
    base_ini: Path = key(
        Path("/opt/scyld/clusterware/conf/base.ini"),
        PATH,
        "The platform's own configuration. A systemd credential named base.ini wins over this path.",
        restart=True,
    )
    base_ini_uid_key: str = key("head.uid", DOTTED, "The key of base.ini that holds the UID.", restart=True)
    base_ini_storage_key: str = key(
        "storage.path", DOTTED, "The key of base.ini that holds the file store's place.", restart=True
    )


@dataclass(frozen=True, slots=True)
class Api:
    """The HTTP interface."""

    listen: tuple[str, ...] = key(
        ("[::]:52390",),
        ADDRESSES,
        "Addresses and ports for TLS. Sockets that systemd passes win; then `cw-headctl config apply` renders these.",
        restart=True,
    )
    socket: Path = key(
        Path("/run/clusterware-head-agent.sock"),
        PATH,
        "The Unix socket of the operators. Its mode and group decide who may do everything.",
        restart=True,
    )
    url: str = key(
        "",
        URL,
        "Where the other heads reach this agent. Left empty, it is the first address that is not a loopback one.",
        restart=True,
    )
    max_body: int = key(2**20, size(1024, 2**30), "The largest request body, in bytes.")
    drain: float = key(
        1.2, duration(0, 10), "How long a stopping agent goes on accepting, asking clients to connect anew."
    )


@dataclass(frozen=True, slots=True)
class Access:
    """Who may call what."""

    known_heads: tuple[str, ...] = key(
        ("certificate", "address"),
        words("certificate", "address"),
        "How another head proves itself: by its certificate, or by the address in a record without ca_pem.",
    )


@dataclass(frozen=True, slots=True)
class Auth:
    """Tokens."""

    ssh_key: Path = key(
        Path("/etc/ssh/ssh_host_ed25519_key"),
        PATH,
        "The SSH private key that signs this head's tokens. A systemd credential named ssh_host_key wins over it.",
        restart=True,
    )


@dataclass(frozen=True, slots=True)
class Services:
    """The units that the agent shows, controls and heals."""

    patterns: tuple[str, ...] = key(
        (
            "clusterware*.service",
            "httpd.service",
            "chronyd.service",
            "influxdb.service",
            "telegraf.service",
            "grafana-server.service",
        ),
        PATTERNS,
        "Which units are the head's services. After a change run `cw-headctl config apply`.",
    )
    timeout: float = key(90.0, duration(1, 3600), "How long an action waits for systemd's job to end.")
    heal: bool = key(default=True, kind=SWITCH, meaning="Start an enabled unit again after systemd gave up on it.")
    heal_backoff: float = key(10.0, duration(1, 3600), "The pause before the first such start; it doubles each time.")
    heal_per_hour: int = key(5, number(1, 100), "The most such starts of one unit in an hour.")


@dataclass(frozen=True, slots=True)
class Files:
    """The store of images, kernels and ISOs."""

    root: Path = key(
        Path("/opt/scyld/clusterware/storage"),
        PATH,
        "The file store of this head; never shared between heads. Left unset, base.ini may name it.",
        restart=True,
    )
    min_age: float = key(3600.0, duration(1), "Files younger than this are never unused.")
    trash_ttl: float = key(7 * 86400.0, duration(3600), "How long a removed file can be restored.")
    trash_watermark: int = key(
        85, percent(), "Above this use of the disk the oldest trash goes early, though never before an hour."
    )


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """How heads tell each other that they live."""

    interval: float = key(
        1.0,
        duration(0.1, 60),
        "How often this head tells each other head that it lives: at most a third of suspect, here and on all others.",
    )
    suspect: float = key(3.0, duration(0.2, 600), "After this long without word from it a head is suspect.")
    timeout: float = key(5.0, duration(0.5, 3600), "After this long without word from it a head is down.")


@dataclass(frozen=True, slots=True)
class Heads:
    """What becomes of heads that are down."""

    evict_after: float = key(
        600.0, duration(0), "How long a head that stopped in order is left alone by DELETE /heads/down."
    )


@dataclass(frozen=True, slots=True)
class Database:
    """Where records are kept."""

    engine: str = key(
        "auto",
        one_of("auto", "sqlite", "etcd"),
        "sqlite: embedded, one per head. etcd: shared by all heads. auto: what the cluster uses that this head joins, "
        "sqlite until then.",
        restart=True,
    )
    path: Path = key(Path("/var/lib/clusterware-head-agent/agent.db"), PATH, "The database file.", restart=True)
    backups: int = key(5, number(1, 1000), "How many backups are kept; the oldest go first.")
    tombstone_ttl: float = key(
        30 * 86400.0, duration(86400), "How long it is remembered that a head was removed or has left."
    )


@dataclass(frozen=True, slots=True)
class Etcd:
    """The shared engine; the agent runs it, unless `endpoints` names one that the site runs itself."""

    client_port: int = key(52391, number(1, 65535), "Where the agent's own etcd answers the agents.", restart=True)
    peer_port: int = key(52392, number(1, 65535), "Where the agent's own etcd talks to its peers.", restart=True)
    binary: Path = key(Path("/usr/bin/etcd"), PATH, "The etcd that is run: 3.4 or newer.", restart=True)
    endpoints: tuple[str, ...] = key(
        (),
        URLS,
        "An etcd of the site's own to use instead, such as clusterware-etcd: its client URLs. The agent then neither "
        "starts it nor changes its members.",
        restart=True,
    )
    ca: Path | None = key(
        None, OPTIONAL_PATH, "With endpoints: the PEM file of the CA that issued its certificates.", restart=True
    )
    certificate: Path | None = key(
        None, OPTIONAL_PATH, "With endpoints: the PEM file with the certificate and key to show to it.", restart=True
    )


@dataclass(frozen=True, slots=True)
class State:
    """The agent's own files."""

    directory: Path = key(
        Path("/var/lib/clusterware-head-agent"),
        PATH,
        "Certificates, keys and backups; the agent's alone (mode 0700).",
        restart=True,
    )


@dataclass(frozen=True, slots=True)
class Log:
    """What is logged, and how."""

    level: str = key("info", one_of("debug", "info", "warning", "error"), "The least severe lines that are kept.")
    format: str = key(
        "auto",
        one_of("auto", "journal", "console"),
        "auto: the journal under systemd, else readable lines.",
        restart=True,
    )


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration; a section an attribute."""

    head: Head = field(default_factory=Head)
    api: Api = field(default_factory=Api)
    access: Access = field(default_factory=Access)
    auth: Auth = field(default_factory=Auth)
    services: Services = field(default_factory=Services)
    files: Files = field(default_factory=Files)
    heartbeat: Heartbeat = field(default_factory=Heartbeat)
    heads: Heads = field(default_factory=Heads)
    database: Database = field(default_factory=Database)
    etcd: Etcd = field(default_factory=Etcd)
    state: State = field(default_factory=State)
    log: Log = field(default_factory=Log)
    peer_url: str = ""
    """`etcd.peer_url` of base.ini, empty when it is not set there."""


SECTIONS: dict[str, type[Any]] = {
    "head": Head,
    "api": Api,
    "access": Access,
    "auth": Auth,
    "services": Services,
    "files": Files,
    "heartbeat": Heartbeat,
    "heads": Heads,
    "database": Database,
    "etcd": Etcd,
    "state": State,
    "log": Log,
}


def keys(section: str) -> dict[str, Field[Any]]:
    """The keys of a section, in order."""
    return {f.name: f for f in fields(SECTIONS[section])}


def template() -> Iterator[str]:
    """The lines of the shipped configuration file: every key, commented out, at its default."""
    yield "# The ClusterWare head agent's configuration. Every key is shown at its default; remove the # to change it."
    yield "# Check a change with `clusterware-head-agent --check-config`, then reload the service."
    for name, section in SECTIONS.items():
        yield ""
        yield f"[{name}]"
        yield f"# {section.__doc__}"
        for spec in keys(name).values():
            kind: Value[Any] = spec.metadata["kind"]
            yield ""
            yield f"# {spec.metadata['meaning']}"
            yield f"# Allowed: {kind.allowed}."
            if spec.metadata["restart"]:
                yield "# Takes effect at the next restart."
            yield f"#{spec.name} = {as_text(kind, spec.default)}".rstrip()

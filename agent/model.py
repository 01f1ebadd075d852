"""What crosses borders between rooms: typed, immutable, and the same on the wire as inside."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

from msgspec import Meta, Struct

UID_PATTERN = "^[a-z0-9]{32}$"
"""A UID is 32 lower-case letters and digits (the platform's API reference)."""


class Kind(StrEnum):
    """The kinds of record that the store keeps."""

    HEAD = "head"
    IMAGE = "image"
    BOOTCONFIG = "bootconfig"
    REPO = "repo"
    TOMBSTONE = "tombstone"
    CLUSTER = "cluster"
    VERDICT = "verdict"
    LOCK = "lock"


OBJECT_KINDS = (Kind.IMAGE, Kind.BOOTCONFIG, Kind.REPO)
"""The kinds whose records may refer to stored files."""


class Record(Struct, frozen=True):
    """One stored record: `body` is its JSON object, `revision` grows with every change in the store.

    `name` is what the store keeps unique within the kind (None where the kind has no names).
    """

    kind: Kind
    uid: str
    revision: int
    body: dict[str, Any]
    name: str | None = None


class FileReference(Struct, frozen=True, forbid_unknown_fields=True):
    """How an object refers to a stored file: `filename` is relative to the store's root; size in bytes."""

    filename: str
    chksum: str | None = None
    size: int | None = None
    mtime: str | None = None


MOST = 2**53 - 1
"""The highest count: no number of changes comes there, and every JSON reader can hold it."""
Count = Annotated[int, Meta(ge=0, le=MOST)]


class Head(Struct, frozen=True, omit_defaults=True):
    """A head node's record as it is stored (without its uid, which is the record's key)."""

    ssh_public: str
    description: str = ""
    ca_pem: str | None = None
    addresses: tuple[str, ...] = ()
    key_sha256: str | None = None
    """SHA-256, in hex, of the DER SubjectPublicKeyInfo that the head's certificate must have."""
    url: str | None = None
    peer_url: str | None = None
    joined: str | None = None
    generation: Count = 1
    edition: Count = 0
    """Grows with every change of the record within one generation."""
    version: str | None = None
    joined_with: tuple[str, ...] = ()
    """The ids of the tokens with which it came in, of those that are good for one head."""


class Departure(StrEnum):
    """How a head went out of the cluster."""

    REMOVED = "removed"
    LEFT = "left"


class Tombstone(Struct, frozen=True):
    """What is kept of a head that is gone, so that it can be told; `at` is RFC 3339 UTC."""

    departure: Departure
    at: str
    generation: Count
    ca_pem: str | None = None
    description: str = ""
    addresses: tuple[str, ...] = ()
    """With `ca_pem`, how the head would prove itself, so that it can be told that it is gone."""
    joined_with: tuple[str, ...] = ()
    """As in the head's record: such a token lets nobody in again."""


class Service(Struct, frozen=True):
    """One row of GET /head/services; `since` is RFC 3339 UTC, `pid` is null when nothing runs."""

    name: str
    status: str
    unit: str
    description: str
    load_state: str
    active_state: str
    sub_state: str
    enabled: str
    since: str | None
    pid: int | None
    restarts: int
    result: str


class FileFacts(Struct, frozen=True):
    """What the filesystem says of one file of the store, without opening it; times are its own, in nanoseconds."""

    filename: str
    device: int
    inode: int
    size: int
    mtime: int
    ctime: int
    links: int
    regular: bool
    mounted: bool
    """Whether something is mounted over it."""
    elsewhere: bool = False
    """Whether its device is another one than that of the store's directory."""


class Look(Struct, frozen=True):
    """What opening a file told: `busy` says why it counts as in use (None: a write lease was granted)."""

    busy: str | None
    kind: str


class TrashedFile(Struct, frozen=True):
    """A removed file: it lies in the trash's `slot` since `deleted`, nanoseconds by the filesystem's clock."""

    filename: str
    slot: str
    size: int
    deleted: int
    inode: int


class StoredFile(Struct, frozen=True):
    """One unused file of the store; sizes in bytes, `modified` RFC 3339 UTC."""

    filename: str
    kind: str
    size: int
    modified: str
    reason: str


class Kept(Struct, frozen=True):
    """Something that a removal left alone, and why."""

    filename: str
    reason: str


class Progress(Struct, frozen=True):
    """How far long work has come: `done` of `total` pieces, 0 where nobody knows of how many, and at which `step`."""

    done: int
    total: int
    step: str = ""


class CleanAction(Struct, frozen=True):
    """One step of a database clean; `bytes` is what it is expected to free, None where unknown."""

    action: str
    kind: str
    target: str
    reason: str
    bytes: int | None = None


class Finding(Struct, frozen=True):
    """Something a clean noticed and will not touch, such as a reference to a file that is not here."""

    kind: str
    uid: str
    field: str
    target: str
    reason: str


def rfc3339(moment: datetime) -> str:
    """An aware moment as it is on the wire: RFC 3339, UTC, milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

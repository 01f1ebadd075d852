"""The v3 JSON gateway's messages: int64 come as strings, bytes in base64, and what is at its default is left out.

https://etcd.io/docs/v3.4/dev-guide/api_grpc_gateway
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

Body = dict[str, Any]
"""What is sent: msgspec gives bytes in base64; int64 go as strings."""


class Header(Struct, frozen=True):
    """Who answered, and how far it was."""

    cluster_id: int = 0
    member_id: int = 0
    revision: int = 0
    raft_term: int = 0


class Answer(Struct, frozen=True):
    """What every answer has; `header` is left out by some maintenance calls."""

    header: Header = Header()


class KeyValue(Struct, frozen=True):
    """A key, its value, and the revision of its last change."""

    key: bytes = b""
    value: bytes = b""
    mod_revision: int = 0


class Ranged(Answer, frozen=True):
    """Keys of a range; `more` when the limit left some out."""

    kvs: tuple[KeyValue, ...] = ()
    more: bool = False
    count: int = 0


class Operated(Struct, frozen=True):
    """The answer to one operation of a transaction; only ranges have something to tell."""

    response_range: Ranged = Ranged()


class Txn(Answer, frozen=True):
    """Which branch was taken, and what its operations answered."""

    succeeded: bool = False
    responses: tuple[Operated, ...] = ()


class Event(Struct, frozen=True):
    """A change of one key."""

    kv: KeyValue
    type: str = "PUT"


class Watched(Answer, frozen=True):
    """A message of a watch. After `canceled` nothing more comes, and the connection stays open all the same."""

    canceled: bool = False
    compact_revision: int = 0
    events: tuple[Event, ...] = ()


class Line(Struct, frozen=True):
    """A line of a stream."""

    result: Watched | None = None
    error: Any = None


class Member(
    Struct,
    frozen=True,
    rename={"id": "ID", "peer_urls": "peerURLs", "client_urls": "clientURLs", "learner": "isLearner"},
):
    """A member; one that was added and has not started yet has no name and no client URLs."""

    id: int = 0
    name: str = ""
    peer_urls: tuple[str, ...] = ()
    client_urls: tuple[str, ...] = ()
    learner: bool = False


class Members(Answer, frozen=True):
    """All members; `member` is the one that was just added."""

    members: tuple[Member, ...] = ()
    member: Member = Member()


class Status(
    Answer,
    frozen=True,
    rename={"size": "dbSize", "in_use": "dbSizeInUse", "learner": "isLearner", "applied": "raftAppliedIndex"},
):
    """One member's own state; sizes in bytes, `leader` a member's id, 0 while there is none."""

    version: str = ""
    size: int = 0
    in_use: int = 0
    leader: int = 0
    applied: int = 0
    learner: bool = False
    errors: tuple[str, ...] = ()


class Alarm(Struct, frozen=True, rename={"member": "memberID"}):
    """Something that has a member, or all of them, refuse work until it is disarmed."""

    member: int = 0
    alarm: str = "NONE"


class Alarms(Answer, frozen=True):
    """The alarms that are raised."""

    alarms: tuple[Alarm, ...] = ()


class Version(Struct, frozen=True):
    """GET /version."""

    server: str = field(default="", name="etcdserver")


def prefix_end(prefix: bytes) -> bytes:
    """The end of the range of all keys that begin with `prefix`."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes((stem[-1] + 1,)) if stem else b"\0"


def get(key: bytes, end: bytes | None = None, *, revision: int = 0, limit: int = 0, **more: Any) -> Body:
    """A range request: one key, or those from `key` up to and without `end`."""
    body: Body = {"key": key, **more}
    if end is not None:
        body["range_end"] = end
    if revision:
        body["revision"] = str(revision)
    if limit:
        body["limit"] = str(limit)
    return body


def unchanged(key: bytes, revision: int) -> Body:
    """A compare: the key was last changed at `revision`; 0: it does not exist."""
    return {"key": key, "target": "MOD", "result": "EQUAL", "mod_revision": str(revision)}


def untouched(begin: bytes, end: bytes, since: int) -> Body:
    """A compare: no key of a range was written after revision `since`."""
    mod = {"target": "MOD", "result": "LESS", "mod_revision": str(since + 1)}
    return {"key": begin, "range_end": end, **mod}


def put(key: bytes, value: bytes) -> Body:
    """An operation that writes a key."""
    return {"request_put": {"key": key, "value": value}}


def drop(key: bytes, end: bytes | None = None) -> Body:
    """An operation that removes a key, or a range."""
    return {"request_delete_range": get(key, end)}


def look(key: bytes) -> Body:
    """An operation that reads a key."""
    return {"request_range": get(key)}

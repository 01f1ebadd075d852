"""Where everything lies in etcd.

`current` names the generation of records in force, so that a restore is one write: it lays all records down under a
new generation first. `commit/<owner>` is each head's last commit; the newest of them is the newest change there is.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from agent.adapters.etcd.wire import prefix_end

ROOT = "/clusterware-head-agent/"


class Current(msgspec.Struct, frozen=True):
    """The generation of records in force, and what is added to etcd's revisions.

    `base` is what the records' former engine had reached, so that revisions grow on when they move to a new etcd.
    """

    generation: str = "first"
    base: int = 0


class Stored(msgspec.Struct, frozen=True):
    """A record's value; `body` stays JSON until somebody reads it."""

    body: msgspec.Raw
    name: str | None = None
    references: tuple[str, ...] = ()


class RecordKey(NamedTuple):
    """The key of a record. A newer agent may have written kinds that this one does not know."""

    kind: str
    uid: str


class NameKey(NamedTuple):
    """The key that makes a name unique within its kind; its value is the uid."""

    kind: str
    name: str


Key = RecordKey | NameKey


class Layout:
    """The keys under one root."""

    def __init__(self, root: str = ROOT) -> None:
        self._generations = f"{root}generation/".encode()
        self._commits = f"{root}commit/".encode()
        self.current = f"{root}current".encode()
        self.restoring = f"{root}restoring".encode()
        """Written by each restore at its beginning: the one that wrote it last is the one that may finish."""
        self.everything = _under(root.encode())
        self.commits = _under(self._commits)

    def commit(self, owner: str) -> bytes:
        """A head's last commit."""
        return self._commits + owner.encode()

    def generation(self, name: str) -> tuple[bytes, bytes]:
        """The range of all keys of a generation."""
        return _under(self._stem(name))

    def records(self, name: str, kind: str) -> tuple[bytes, bytes]:
        """The range of a generation's records of a kind."""
        return _under(self._stem(name) + f"record/{kind}/".encode())

    def others(self, name: str) -> tuple[tuple[bytes, bytes], tuple[bytes, bytes]]:
        """The two ranges that hold every generation but this."""
        (begin, end), (first, last) = _under(self._generations), self.generation(name)
        return (begin, first), (last, end)

    def key(self, generation: str, key: Key) -> bytes:
        """A record's or a name's key in etcd."""
        what = "record" if isinstance(key, RecordKey) else "name"
        return self._stem(generation) + f"{what}/{key.kind}/{key[1]}".encode()

    def parse(self, generation: str, key: bytes) -> Key | None:
        """What a key of that generation means; None for any other."""
        stem = self._stem(generation)
        if not key.startswith(stem):
            return None
        what, _, rest = key[len(stem) :].decode(errors="backslashreplace").partition("/")
        kind, _, last = rest.partition("/")
        return RecordKey(kind, last) if what == "record" else NameKey(kind, last)

    def _stem(self, generation: str) -> bytes:
        return self._generations + generation.encode() + b"/"


def encode(body: dict[str, Any], name: str | None, references: tuple[str, ...]) -> bytes:
    """A record's value."""
    return msgspec.json.encode(Stored(msgspec.Raw(msgspec.json.encode(body)), name, references))


def _under(prefix: bytes) -> tuple[bytes, bytes]:
    return prefix, prefix_end(prefix)

"""Who is in the cluster: one immutable snapshot that access rules and answers are decided from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agent.model import Head, Tombstone


@dataclass(frozen=True, slots=True)
class Members:
    """The heads and the tombstones as of one revision of the store; `self_uid` is this head."""

    cluster: str
    """The cluster's id, which tokens name as their audience."""
    self_uid: str
    heads: Mapping[str, Head]
    tombstones: Mapping[str, Tombstone]
    revision: int
    """Grows whenever a head or a tombstone changes: what is cached about a caller is valid for one revision."""
    digest: str = ""
    """Of the records and tombstones as they are stored; equal on two heads whose lists are (see `roster`)."""

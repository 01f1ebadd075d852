"""Heads, their uids and a snapshot of them, for tests of who may call."""

from __future__ import annotations

from collections.abc import Mapping

from agent.heads.members import Members
from agent.model import Head, Tombstone

CLUSTER = "c" * 32
ME, PEER, OTHER, STRANGER = ("0me".ljust(32, "0"), "1peer".ljust(32, "1"), "2other".ljust(32, "2"), "3".ljust(32, "3"))
SOME_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGwoV1tM1mG1n5b4bQ0yq1e7tV2k0YI8F3X1zK0m5q1d"
"""Looks like a key and is nobody's."""


def head(ca_pem: str | None = None, *addresses: str, key_sha256: str | None = None, ssh_public: str = SOME_KEY) -> Head:
    """A head's record."""
    return Head(ssh_public=ssh_public, ca_pem=ca_pem, addresses=addresses, key_sha256=key_sha256)


def members(
    heads: Mapping[str, Head] | None = None,
    tombstones: Mapping[str, Tombstone] | None = None,
    *,
    me: Head | None = None,
) -> Members:
    """A snapshot with this head and the given ones."""
    return Members(CLUSTER, ME, {ME: me or head(), **(heads or {})}, tombstones or {}, 1)


class Roster:
    """`registry.members` as a test moves it: a snapshot, or an error to raise."""

    def __init__(self, now: Members | Exception) -> None:
        self.now = now

    def __call__(self) -> Members:
        """The present snapshot."""
        if isinstance(self.now, Exception):
            raise self.now
        return self.now

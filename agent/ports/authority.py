"""The cluster's CA as this head holds it, and its exchange for a new one."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from msgspec import Struct
from typing_extensions import override


class Step(StrEnum):
    """What a head is told to do while the cluster's CA is exchanged, in this order."""

    TRUST = "trust"
    """Believe certificates of the new CA as well."""
    ISSUE = "issue"
    """Have one's own certificate issued by the new CA; believe the former still."""
    DROP = "drop"
    """Believe the new CA alone."""


class CaState(Struct, frozen=True):
    """Where one head stands; CAs are named by the SHA-256, in hex, of their DER certificates."""

    issuing: str
    """The CA that issued this head's certificate and would issue a newcomer's."""
    next: str | None = None
    former: str | None = None
    engine: tuple[str, ...] | None = None
    """The CAs that this head's database engine believes now; None where it talks to no other head's."""
    records: dict[str, tuple[str, ...]] = {}
    """By head, as this head's records have it: the CAs that its certificate is checked against."""


class CaPair(Struct, frozen=True):
    """A CA's certificate and private key, PEM. Secret."""

    pem: str

    @override
    def __repr__(self) -> str:
        """Without the secret, wherever this may be printed."""
        return "CaPair()"


class Authority(Protocol):
    """This head's CA files. Every method raises Unavailable when they cannot be used; repeating is harmless."""

    async def state(self) -> CaState:
        """Where this head stands; `engine` and `records` are left out."""
        ...

    async def propose(self) -> CaPair:
        """The CA to change to: the one that an exchange was begun with, or else a new one, kept as the next."""
        ...

    async def trust(self, pair: CaPair) -> None:
        """Keep the next CA, in place of one that nobody has issued from, and believe it. Raises Invalid for no CA."""
        ...

    async def issue(self) -> None:
        """Make the next CA the issuing one, this head's certificate its first. Raises Conflict without a next one."""
        ...

    async def drop(self) -> None:
        """Forget the former CA."""
        ...

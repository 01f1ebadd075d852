"""Whom the heads' etcd believes: the CAs that issue heads' certificates, one PEM text that is equal for equal CAs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cryptography.hazmat.primitives.serialization import Encoding

from agent.adapters.identity.checks import authorities, fingerprint
from agent.heads.identity import Identity
from agent.heads.members import Members


def bundle(ca_pems: Iterable[str]) -> str:
    """The distinct CAs of these texts, in an order of their own."""
    found = {fingerprint(ca): ca for pem in ca_pems for ca in authorities(pem)}
    return "".join(found[name].public_bytes(Encoding.PEM).decode("ascii") for name in sorted(found))


@dataclass(frozen=True, slots=True)
class Authorities:
    """The CAs as this head knows them; both callables raise Unavailable."""

    identity: Callable[[], Identity]
    members: Callable[[], Members]

    def own(self) -> str:
        """The CA that issued this head's certificate, for a cluster whose records are not known yet."""
        return bundle([self.identity().ca_pem])

    def all(self) -> str:
        """Those of all heads that have records, and this head's."""
        heads = self.members().heads.values()
        return bundle([self.identity().ca_pem, *(head.ca_pem for head in heads if head.ca_pem)])

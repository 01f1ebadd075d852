"""Who this head is to others: what its own record says and what its certificate proves."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Identity:
    """This head, as its certificate stands now; replaced as a whole when the certificate is reissued."""

    uid: str
    ca_pem: str
    """The certificate of the CA that issued this head's: what peers check it against."""
    key_sha256: str
    """SHA-256, in hex, of the certificate's DER SubjectPublicKeyInfo; it outlives reissues."""
    fingerprint: str
    """SHA-256, in hex, of the DER certificate; another one means that it was reissued."""
    certificate: Path
    """Certificate and private key in one PEM file."""
    addresses: tuple[str, ...]
    """This head's addresses that others can use, the best first."""
    url: str | None
    """Where others reach this agent; None when it listens nowhere that they could reach."""
    ends: datetime
    """When the certificate ends; it is renewed long before."""
    ca_ends: datetime
    """When its CA does, which nothing renews."""


def agent_url(listen: Sequence[str], addresses: Sequence[str]) -> str | None:
    """The agent's URL on its first non-local address: of those it listens on or, for a wildcard, of those it has."""
    for entry in listen:
        host, _, port = entry.rpartition(":")
        bound = ipaddress.ip_address(host.strip("[]"))
        if bound.is_unspecified:
            usable = [a for a in addresses if bound.version == 6 or ":" not in a]
        else:
            usable = [] if bound.is_loopback else [str(bound)]
        if usable:
            return f"https://[{usable[0]}]:{port}" if ":" in usable[0] else f"https://{usable[0]}:{port}"
    return None

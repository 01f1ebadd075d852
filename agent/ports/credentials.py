"""Certificates on both sides of a join: the cluster's head that issues one, and the newcomer that takes it over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct
from typing_extensions import override


class CertificateRequest(Struct, frozen=True):
    """What a head asks to be certified: a PKCS #10 request in PEM, and the DNS names it goes by."""

    pem: str
    names: tuple[str, ...] = ()


class Issued(Struct, frozen=True):
    """A certificate with the CA above it. `ca_key` is a secret: given over TLS to a token's holder, never logged."""

    certificate: str
    ca_pem: str
    ca_key: str
    key_sha256: str
    """SHA-256, in hex, of the certificate's SubjectPublicKeyInfo: what the head's record pins."""

    @override
    def __repr__(self) -> str:
        """Without the secret, wherever this may be printed."""
        return f"Issued(key_sha256={self.key_sha256!r})"


class Registrar(Protocol):
    """Issues certificates for heads that join, with the CA's key that this head holds."""

    async def certify(self, request: str, uid: str, names: Sequence[str], addresses: Sequence[str]) -> Issued:
        """A certificate for the key of a request, proved to be the sender's; for that head under those names alone.

        What the request asks for itself does not count. Raises Invalid for a request that is none, for another
        head, or for a kind of key that is not taken; Unavailable without the CA.
        """
        ...


class Credentials(Protocol):
    """This head's certificate and the CA with it, exchanged for others in step with the database.

    An exchange is complete once the database is the new cluster's. Until `settle` the former files lie aside; which
    of the two count is told by the database alone, so a kill at any moment ends in one or the other, never a mixture.
    Every method raises Unavailable when the files cannot be read or written.
    """

    async def request(self) -> CertificateRequest:
        """A certificate request with this head's present key."""
        ...

    async def adopt(self, cluster: str, issued: Issued) -> None:
        """Use this certificate and CA, those of `cluster`, from now on; raises Invalid where they do not fit."""
        ...

    async def begin(self, cluster: str) -> None:
        """Use a certificate with a new key from now on, under a new CA made for `cluster`."""
        ...

    async def settle(self, cluster: str) -> None:
        """End the exchange: keep what is for `cluster`, or go back if it is for another; without one, nothing."""
        ...

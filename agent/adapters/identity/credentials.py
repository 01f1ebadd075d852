"""Certificates on both sides of a join: issued for a newcomer, or taken over from the cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from typing_extensions import override

from agent.adapters.identity import requests
from agent.adapters.identity.certificates import Bearer, Pair, issue, make_ca
from agent.adapters.identity.checks import UNREADABLE, can_issue, issued_directly, key_sha256
from agent.adapters.identity.exchange import believed_besides
from agent.adapters.identity.files import Place
from agent.adapters.identity.handover import Handover
from agent.adapters.identity.keeper import IdentityKeeper
from agent.adapters.identity.pairs import read
from agent.errors import Conflict, Invalid, Unavailable
from agent.ports import CertificateRequest, Clock, Credentials, Issued, Registrar


class HeadCredentials(Credentials, Registrar):
    """The files of this head's certificate and CA, for joining, leaving, and letting others in."""

    def __init__(
        self, directory: Path, uid: str, place: Callable[[], Place], keeper: IdentityKeeper, clock: Clock
    ) -> None:
        self._directory = directory
        self._uid = uid
        self._place = place
        self._keeper = keeper
        self._clock = clock
        self._handover = Handover(directory)

    @override
    async def certify(self, request: str, uid: str, names: Sequence[str], addresses: Sequence[str]) -> Issued:
        """A certificate for another head."""
        return await asyncio.to_thread(self._certify, request, Bearer(uid, tuple(names), tuple(addresses)))

    @override
    async def request(self) -> CertificateRequest:
        """A certificate request with this head's present key."""
        head = await asyncio.to_thread(self._pair, "head.pem")
        return CertificateRequest(requests.make(head.key, self._uid), self._place().names)

    @override
    async def adopt(self, cluster: str, issued: Issued) -> None:
        """Use the certificate and the CA that a cluster gave."""

        def work() -> None:
            head, ca = self._checked(issued)
            self._handover.begin(cluster, ca, head)

        await self._keeper.exchange(work, quietly=True)

    @override
    async def begin(self, cluster: str) -> None:
        """Use a new key under a new CA: whoever knew the former ones can do nothing with them."""

        def work() -> None:
            now, place, key = self._clock.now(), self._place(), ec.generate_private_key(ec.SECP256R1())
            ca = make_ca(cluster, now)
            bearer = Bearer(self._uid, place.names, place.addresses)
            self._handover.begin(cluster, ca, Pair(issue(ca, key.public_key(), bearer, now), key))

        await self._keeper.exchange(work, quietly=True)

    @override
    async def settle(self, cluster: str) -> None:
        """Keep what is for that cluster, or go back; this head's record follows."""
        await self._keeper.exchange(lambda: self._handover.settle(cluster))

    def _certify(self, request: str, bearer: Bearer) -> Issued:
        key = requests.proved_key(request, bearer.uid)
        if any(believed_besides(self._directory)):
            raise Conflict(
                "the cluster's CA is being exchanged: end that first, with cw-headctl ca rotate, then join again",
                code="ca-exchange",
            )
        ca = self._pair("ca.pem")
        certificate = issue(ca, key, bearer, self._clock.now())
        return Issued(
            certificate=certificate.public_bytes(Encoding.PEM).decode("ascii"),
            ca_pem=ca.certificate_pem,
            ca_key=ca.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii"),
            key_sha256=key_sha256(certificate),
        )

    def _checked(self, issued: Issued) -> tuple[Pair, Pair]:
        """This head's new pair and the CA's; raises Invalid unless they are what this head can go on with."""
        own = self._pair("head.pem")
        try:
            certificate = x509.load_pem_x509_certificate(issued.certificate.encode())
            authority = x509.load_pem_x509_certificate(issued.ca_pem.encode())
            key = load_pem_private_key(issued.ca_key.encode(), password=None)
            fits = key.public_key() == authority.public_key() and certificate.public_key() == own.key.public_key()
        except UNREADABLE as err:
            raise Invalid("cannot take over the certificate: what the cluster sent cannot be read") from err
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not fits or not can_issue(authority):
            raise Invalid("cannot take over the certificate: the keys that the cluster sent do not fit it")
        if not issued_directly(certificate, authority):
            raise Invalid("cannot take over the certificate: the cluster's CA did not issue it")
        return Pair(certificate, own.key), Pair(authority, key)

    def _pair(self, name: str) -> Pair:
        pair = read(self._directory / name)
        if pair is None:
            raise Unavailable(f"{self._directory / name} is missing: restart the agent, and see its journal")
        return pair

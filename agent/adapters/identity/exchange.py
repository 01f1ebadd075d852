"""The CA files while the cluster's CA is exchanged for a new one.

Beside `ca.pem`, which issues, lies `ca-next.pem` (a key and its certificate) until the new CA issues, and then
`ca-former.pem` (a certificate alone) until nobody needs the former one any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from typing_extensions import override

from agent.adapters.durable import replace, sync
from agent.adapters.identity.certificates import Pair, make_ca
from agent.adapters.identity.checks import UNREADABLE, authorities, can_issue, fingerprint
from agent.adapters.identity.pairs import read, write
from agent.errors import Conflict, Invalid, Unavailable
from agent.ports import Authority, CaPair, CaState, Clock

_CA, _NEXT, _FORMER = "ca.pem", "ca-next.pem", "ca-former.pem"


def believed_besides(directory: Path) -> Iterator[str]:
    """The certificates, PEM, of the CAs that are believed beside the issuing one; raises Unavailable."""
    if following := read(directory / _NEXT):
        yield following.certificate_pem
    if former := _former(directory):
        yield former


def ca_names(ca_pem: str) -> tuple[str, ...]:
    """The CAs of a PEM text, each by the SHA-256, in hex, of its DER certificate."""
    return tuple(fingerprint(certificate) for certificate in authorities(ca_pem))


class CaFiles(Authority):
    """The CAs in the state directory. `reissue` is awaited after each change: certificate and record follow it."""

    def __init__(
        self, directory: Path, cluster: Callable[[], str], clock: Clock, reissue: Callable[[], Awaitable[object]]
    ) -> None:
        self._directory = directory
        self._cluster = cluster
        self._clock = clock
        self._reissue = reissue

    @override
    async def state(self) -> CaState:
        """Where this head stands."""
        return await asyncio.to_thread(self._state)

    @override
    async def propose(self) -> CaPair:
        """The CA to change to."""
        cluster = self._cluster()
        pair = await asyncio.to_thread(self._propose, cluster)
        await self._reissue()
        return pair

    @override
    async def trust(self, pair: CaPair) -> None:
        """Keep the next CA and believe it."""
        await asyncio.to_thread(self._trust, _pair(pair))
        await self._reissue()

    @override
    async def issue(self) -> None:
        """Make the next CA the issuing one."""
        await asyncio.to_thread(self._issue)
        await self._reissue()

    @override
    async def drop(self) -> None:
        """Forget the former CA."""
        await asyncio.to_thread(self._drop)
        await self._reissue()

    def _state(self) -> CaState:
        following, former = read(self._directory / _NEXT), _former(self._directory)
        return CaState(
            issuing=fingerprint(self._issuing().certificate),
            next=fingerprint(following.certificate) if following else None,
            former=ca_names(former)[0] if former else None,
        )

    def _propose(self, cluster: str) -> CaPair:
        pair = read(self._directory / _NEXT)
        if pair is None and _former(self._directory):
            pair = self._issuing()
        if pair is None:
            pair = make_ca(cluster, self._clock.now())
            write(self._directory / _NEXT, pair)
        return CaPair(pair.pem().decode())

    def _trust(self, pair: Pair) -> None:
        if pair.certificate != self._issuing().certificate:
            write(self._directory / _NEXT, pair)

    def _issue(self) -> None:
        following = read(self._directory / _NEXT)
        if following is None:
            if _former(self._directory) is None:
                raise Conflict("cannot issue from a new CA: this head has not been given one", code="no-ca")
            return
        issuing = self._issuing()
        if issuing.certificate != following.certificate:  # else it was cut off between these two
            replace(self._directory / _FORMER, issuing.certificate_pem.encode())
            write(self._directory / _CA, following)
        self._remove(_NEXT)

    def _drop(self) -> None:
        self._remove(_FORMER)

    def _issuing(self) -> Pair:
        pair = read(self._directory / _CA)
        if pair is None:
            raise Unavailable("cannot exchange the CA: this head has none of its own")
        return pair

    def _remove(self, name: str) -> None:
        try:
            (self._directory / name).unlink(missing_ok=True)
            sync(self._directory)
        except OSError as err:
            raise Unavailable(f"cannot remove {self._directory / name}: {err.strerror}") from err


def _former(directory: Path) -> str | None:
    """The former CA's certificate, PEM, while it is still believed."""
    try:
        text = (directory / _FORMER).read_text("ascii")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as err:
        raise Unavailable(f"cannot read {directory / _FORMER}: {err}") from err
    if len(authorities(text)) != 1:
        raise Unavailable(f"{directory / _FORMER} does not hold the certificate of one CA: remove it")
    return text


def _pair(given: CaPair) -> Pair:
    """A CA that another head sent; raises Invalid."""
    raw = given.pem.encode()
    try:
        key = load_pem_private_key(raw, password=None)
        certificate = x509.load_pem_x509_certificate(raw)
        belongs = key.public_key() == certificate.public_key()
    except UNREADABLE as err:
        raise Invalid("ca must hold a private key and the certificate of a CA, both PEM") from err
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not belongs or not can_issue(certificate):
        raise Invalid("ca must be an elliptic-curve key with its own certificate, which must be a CA's")
    return Pair(certificate, key)

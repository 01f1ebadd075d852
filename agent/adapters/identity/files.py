"""The cluster's CA and this head's certificate on disk: made at first start, reissued in time, never half written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from agent.adapters.identity.certificates import Bearer, Pair, issue, make_ca
from agent.adapters.identity.checks import can_issue, fingerprint, issued_directly, key_sha256
from agent.adapters.identity.exchange import believed_besides
from agent.adapters.identity.pairs import damaged, read, write
from agent.errors import Unavailable
from agent.heads.identity import Identity, agent_url
from agent.heads.trust import HEAD_URN

log = structlog.get_logger()

RENEW_BEFORE = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Place:
    """How this head can be reached: DNS names, IP addresses (best first), and what it listens on."""

    names: tuple[str, ...]
    addresses: tuple[str, ...]
    listen: tuple[str, ...]
    url: str = ""
    """Where others reach the agent, when the configuration says so itself."""


class IdentityFiles:
    """Keeps `ca.pem` and `head.pem` in the state directory, each a key and its certificate in one file.

    One file each, replaced by a rename: a crash leaves the old pair or the new one, never a key without its
    certificate.
    """

    def __init__(self, directory: Path, uid: str, place: Callable[[], Place]) -> None:
        self._ca_file = directory / "ca.pem"
        self._head_file = directory / "head.pem"
        self._uid = uid
        self._place = place

    def open(self, cluster: str | None, now: datetime) -> Identity:
        """This head's identity, made or reissued if need be. Blocks: key generation and disk.

        `cluster`: the cluster's id, which only a new CA needs; None while the database cannot tell.
        Raises Unavailable when the files are damaged, do not belong together, or cannot be read or written.
        """
        ca = self._ca(cluster, now)
        place = self._place()
        bearer = Bearer(self._uid, place.names, place.addresses)
        head = read(self._head_file)
        if head is None:
            head = self._issue(ca, ec.generate_private_key(ec.SECP256R1()), bearer, now, "there was none")
        else:
            self._check_owner(head.certificate)
            if why := _why_reissue(head.certificate, ca, bearer, now):
                head = self._issue(ca, head.key, bearer, now, why)
        return Identity(
            uid=self._uid,
            ca_pem="".join(dict.fromkeys((ca.certificate_pem, *believed_besides(self._ca_file.parent)))),
            key_sha256=key_sha256(head.certificate),
            fingerprint=fingerprint(head.certificate),
            certificate=self._head_file,
            addresses=place.addresses,
            url=place.url or agent_url(place.listen, place.addresses),
            ends=head.certificate.not_valid_after_utc,
            ca_ends=ca.certificate.not_valid_after_utc,
        )

    def _ca(self, cluster: str | None, now: datetime) -> Pair:
        ca = read(self._ca_file)
        if ca is not None:
            if not can_issue(ca.certificate):
                raise Unavailable(damaged(self._ca_file, "it is not a CA's certificate with a subject key identifier"))
            return ca
        if self._head_file.exists():
            raise Unavailable(
                f"{self._ca_file} is missing, though {self._head_file} is there: restore it, or remove "
                f"{self._head_file} too to begin with a new CA, which every other head must then be told"
            )
        if cluster is None:
            raise Unavailable(
                "cannot make this head's certificate: the cluster's id is in the database, which cannot be used; "
                "mend that first"
            )
        ca = make_ca(cluster, now)
        write(self._ca_file, ca)
        log.info("Cluster CA made", cluster=cluster, file=str(self._ca_file))
        return ca

    def _check_owner(self, certificate: x509.Certificate) -> None:
        uri = _uri(certificate)
        if uri != HEAD_URN + self._uid:
            raise Unavailable(
                f"{self._head_file} is the certificate of {uri or 'no head'}, and this head is {self._uid}: if this "
                f"machine was copied from that head, remove the state directory's files; if its uid was changed, "
                f"remove {self._head_file.name} alone"
            )

    def _issue(self, ca: Pair, key: ec.EllipticCurvePrivateKey, bearer: Bearer, now: datetime, why: str) -> Pair:
        """A new certificate. The key stays the same over reissues, or the pins in the other heads' records break."""
        head = Pair(issue(ca, key.public_key(), bearer, now), key)
        write(self._head_file, head)
        log.info("Head certificate issued", reason=why, until=head.certificate.not_valid_after_utc.isoformat())
        return head


def _why_reissue(certificate: x509.Certificate, ca: Pair, bearer: Bearer, now: datetime) -> str | None:
    if not issued_directly(certificate, ca.certificate):
        return "the CA changed"
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    if list(names) != bearer.alternative_names():
        return "this head's names or addresses changed"
    if now < certificate.not_valid_before_utc:
        return "it is not valid yet"
    ends = certificate.not_valid_after_utc
    if ends - now < RENEW_BEFORE and ends < ca.certificate.not_valid_after_utc:
        return "its end is near"
    return None


def _uri(certificate: x509.Certificate) -> str | None:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    return next(iter(names.get_values_for_type(x509.UniformResourceIdentifier)), None)

"""Certificates of every kind, the wrong ones too, made apart from the agent's own code."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

Span = tuple[datetime, datetime]


def around_now(begins: timedelta = timedelta(days=-1), ends: timedelta = timedelta(days=1)) -> Span:
    """A span of validity, by default a day to each side of the present."""
    now = datetime.now(UTC).replace(microsecond=0)
    return now + begins, now + ends


@dataclass(frozen=True)
class Holder:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        """The certificate in PEM."""
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def der(self) -> bytes:
        """The certificate in DER."""
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def key_sha256(self) -> str:
        """SHA-256 of the DER SubjectPublicKeyInfo."""
        spki = self.certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return hashlib.sha256(spki).hexdigest()

    def write(self, path: Path, *chain: Holder) -> Path:
        """Key, certificate and whatever chain in one file."""
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        path.write_text(key + self.pem + "".join(link.pem for link in chain))
        return path


def authority(name: str = "a CA", *, above: Holder | None = None, valid: Span | None = None) -> Holder:
    """A CA: its own root, or an intermediate under `above`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer = above.certificate.subject if above else subject
    signer = above.key if above else key
    builder = (
        _builder(subject, issuer, key, signer, valid)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return Holder(builder.sign(signer, hashes.SHA256()), key)


def certificate(
    ca: Holder,
    *uids: str,
    uris: Sequence[str] = (),
    valid: Span | None = None,
    key: ec.EllipticCurvePrivateKey | None = None,
) -> Holder:
    """A client's certificate that names the heads `uids`, and any other `uris`; without either it has no such name."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a client")])
    named = [*(f"urn:clusterware:head:{uid}" for uid in uids), *uris]
    builder = _builder(subject, ca.certificate.subject, key, ca.key, valid)
    if named:
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in named])
        builder = builder.add_extension(names, critical=False)
    return Holder(builder.sign(ca.key, hashes.SHA256()), key)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    valid: Span | None,
) -> x509.CertificateBuilder:
    begins, ends = valid or around_now()
    signed_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(signed_by, critical=False)
    )


def client_context(trust: str, certificate_file: Path | None = None) -> ssl.SSLContext:
    """A client's end of TLS that trusts `trust` (PEM) and shows the certificate in a file; it checks no host name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata=trust)
    if certificate_file is not None:
        context.load_cert_chain(certificate_file)
    return context

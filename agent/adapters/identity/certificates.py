"""Making certificates: the cluster's CA, and the heads' certificates that it issues.

EC P-256 throughout: every OpenSSL and every Go that etcd was built with takes it.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from agent.heads.trust import HEAD_URN

CA_LIFE = timedelta(days=3650)
LIFE = timedelta(days=365)
BACKDATED = timedelta(days=30)
"""How far notBefore lies in the past, so that a head whose clock is slow does not refuse it."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate with its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def pem(self) -> bytes:
        """Both in one PEM text, key first, so that one rename replaces both at once. Secret."""
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return key + self.certificate.public_bytes(Encoding.PEM)

    @property
    def certificate_pem(self) -> str:
        """The certificate alone, which is public."""
        return self.certificate.public_bytes(Encoding.PEM).decode("ascii")


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whom a head's certificate is for: its uid, DNS names and IP addresses."""

    uid: str
    names: tuple[str, ...]
    addresses: tuple[str, ...]

    def alternative_names(self) -> list[x509.GeneralName]:
        """The subject alternative names of the certificate."""
        return [
            x509.UniformResourceIdentifier(HEAD_URN + self.uid),
            *(x509.DNSName(name) for name in self.names),
            *(x509.IPAddress(ipaddress.ip_address(address)) for address in self.addresses),
        ]


def make_ca(cluster: str, now: datetime) -> Pair:
    """A new CA for the cluster with that id; its subject also names its key, so no two CAs are called the same."""
    key = ec.generate_private_key(ec.SECP256R1())
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    name = f"clusterware {cluster} {identifier.digest.hex()[:8]}"
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        _builder(subject, subject, key.public_key(), now, now + CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(ca=True), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Pair(certificate, key)


def issue(ca: Pair, key: CertificatePublicKeyTypes, bearer: Bearer, now: datetime) -> x509.Certificate:
    """A head's certificate for the holder of `key`, for a year and never beyond the CA's own end.

    It has no common name: etcd refuses client certificates that have one once its authentication is on.
    """
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "clusterware head"),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, bearer.uid),
        ]
    )
    issuer_id = ca.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    ends = min(now + LIFE, ca.certificate.not_valid_after_utc)
    return (
        _builder(subject, ca.certificate.subject, key, now, ends)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(ca=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.SubjectAlternativeName(bearer.alternative_names()), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_id), critical=False)
        .sign(ca.key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: CertificatePublicKeyTypes, now: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(ends)
    )


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )

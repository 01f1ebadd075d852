"""Reading certificates: those that peers present, and the CAs that records name."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agent.heads.trust import Window

UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What cryptography raises for bytes that are not what they claim to be."""
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def key_sha256(certificate: x509.Certificate) -> str:
    """SHA-256, in hex, of the certificate's DER SubjectPublicKeyInfo."""
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256, in hex, of the DER certificate."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def can_issue(certificate: x509.Certificate) -> bool:
    """Whether it is a CA's certificate that `issue` can work with."""
    try:
        certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        return _is_ca(certificate)
    except (*UNREADABLE, x509.ExtensionNotFound):
        return False


def authorities(ca_pem: str) -> list[x509.Certificate]:
    """The CA certificates of a PEM text. What cannot be read, or is no CA's, gives no trust and is left out."""
    found = []
    for block in _PEM.findall(ca_pem):
        try:
            certificate = x509.load_pem_x509_certificate(block.encode())
            if _is_ca(certificate):
                found.append(certificate)
        except UNREADABLE:
            continue
    return found


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return False
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return constraints.ca
    return constraints.ca and usage.key_cert_sign


class PeerCertificate:
    """A certificate that a peer presented, in the form that the trust rules ask for."""

    def __init__(self, certificate: x509.Certificate) -> None:
        self._certificate = certificate
        self._uris = _uris(certificate)
        self._key_sha256 = key_sha256(certificate)

    @classmethod
    def read(cls, der: bytes) -> Self | None:
        """The certificate in a DER text; None for one that TLS let in and that we cannot read."""
        try:
            return cls(x509.load_der_x509_certificate(der))
        except UNREADABLE:
            return None

    @property
    def uris(self) -> Sequence[str]:
        """The URIs among its subject alternative names."""
        return self._uris

    @property
    def key_sha256(self) -> str:
        """SHA-256, in hex, of its DER SubjectPublicKeyInfo."""
        return self._key_sha256

    @property
    def ends(self) -> datetime:
        """When it ends, whatever the CA above it does."""
        return self._certificate.not_valid_after_utc

    def issued_by(self, ca_pem: str) -> Sequence[Window]:
        """A window for each CA of `ca_pem` that signed it directly; empty when none did."""
        mine = self._certificate
        return tuple(
            Window(
                max(mine.not_valid_before_utc, ca.not_valid_before_utc),
                min(mine.not_valid_after_utc, ca.not_valid_after_utc),
            )
            for ca in authorities(ca_pem)
            if issued_directly(mine, ca)
        )


def issued_directly(certificate: x509.Certificate, ca: x509.Certificate) -> bool:
    """Whether the CA's name and its key's signature are on the certificate."""
    try:
        certificate.verify_directly_issued_by(ca)
    except (*UNREADABLE, InvalidSignature):
        return False
    return True


def _uris(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(names.get_values_for_type(x509.UniformResourceIdentifier))

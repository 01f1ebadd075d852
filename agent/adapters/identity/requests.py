"""Certificate requests (PKCS #10, RFC 2986): what a head that joins sends, and what is taken of one that came."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from agent.adapters.identity.checks import UNREADABLE
from agent.errors import FieldError, Invalid
from agent.heads.trust import HEAD_URN

_MOST = 16384
"""Characters of a request; ours have about 500."""


def make(key: ec.EllipticCurvePrivateKey, uid: str) -> str:
    """A request for that head, signed with its key. The names it goes by are told beside it."""
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(HEAD_URN + uid)])
    return (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.SERIAL_NUMBER, uid)]))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
        .decode("ascii")
    )


def proved_key(pem: str, uid: str) -> ec.EllipticCurvePublicKey:
    """The key of a request, whose holder signed it for that head; raises Invalid. Nothing else of it counts."""
    if len(pem) > _MOST:
        raise _invalid(f"is longer than {_MOST} characters")
    try:
        request = x509.load_pem_x509_csr(pem.encode())
        key, proved = request.public_key(), request.is_signature_valid
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    except (*UNREADABLE, x509.ExtensionNotFound) as err:
        raise _invalid("must be a certificate request in PEM that names the head as its URI") from err
    if uris != [HEAD_URN + uid]:
        raise _invalid(f"is for {', '.join(uris)[:200] or 'nobody'}, not for the head that joins")
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise _invalid("must be for an elliptic-curve key on P-256")
    if not proved:
        raise _invalid("is not signed with the key that it is for")
    return key


def _invalid(reason: str) -> Invalid:
    return Invalid(f"request: {reason}", fields=[FieldError("request", reason)])

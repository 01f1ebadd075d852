"""A certificate with its private key in one file: read with suspicion, replaced at once and for good."""

from __future__ import annotations

from pathlib import Path

import structlog
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from agent.adapters.durable import replace
from agent.adapters.identity.certificates import Pair
from agent.adapters.identity.checks import UNREADABLE
from agent.errors import Unavailable

log = structlog.get_logger()


def read(path: Path) -> Pair | None:
    """The key and certificate in a file, None when there is no file."""
    try:
        raw = path.read_bytes()
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
            log.warning("Private key was open to others: its mode is 0600 now, consider a new key", file=str(path))
    except FileNotFoundError:
        return None
    except OSError as err:
        raise Unavailable(f"cannot read {path}: {err.strerror}") from err
    try:
        key = load_pem_private_key(raw, password=None)
        certificate = x509.load_pem_x509_certificate(raw)
        certificate_key = certificate.public_key()
    except UNREADABLE as err:
        raise Unavailable(damaged(path, "it does not hold a readable private key and certificate")) from err
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise Unavailable(damaged(path, "its key is not an elliptic-curve key"))
    if key.public_key() != certificate_key:
        raise Unavailable(damaged(path, "its certificate is not that of its private key"))
    return Pair(certificate, key)


def damaged(path: Path, why: str) -> str:
    return (
        f"{path} cannot be used: {why}; restore it from a backup, or remove it to have a new one made at the next "
        f"start, which the other heads must then be told"
    )


def write(path: Path, pair: Pair) -> None:
    """Have a file hold this pair; raises Unavailable."""
    replace(path, pair.pem())

"""SSH key pairs of every kind, and tokens signed with whatever one likes."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

Key = ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | dsa.DSAPrivateKey


@dataclass(frozen=True)
class Pair:
    """A private key and the line that stands in a record."""

    key: Key
    public: str

    def write(self, path: Path, *, passphrase: bytes | None = None, pem: bool = False) -> Path:
        """The private key as ssh-keygen writes it, or in PEM as older hosts have it."""
        hidden: KeySerializationEncryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
        form = PrivateFormat.TraditionalOpenSSL if pem else PrivateFormat.OpenSSH
        path.write_bytes(self.key.private_bytes(Encoding.PEM, form, hidden))
        return path


@cache
def pair(kind: str, which: int = 0) -> Pair:
    """A key of a kind such as ed25519, rsa2048, p256; `which` tells keys of one kind apart."""
    match kind:
        case "ed25519":
            key: Key = ed25519.Ed25519PrivateKey.generate()
        case "rsa1024" | "rsa2048":
            key = rsa.generate_private_key(65537, int(kind[3:]))
        case "dsa":
            key = dsa.generate_private_key(1024)
        case _:
            curves: dict[str, ec.EllipticCurve] = {
                "p256": ec.SECP256R1(),
                "p384": ec.SECP384R1(),
                "p521": ec.SECP521R1(),
            }
            key = ec.generate_private_key(curves[kind])
    if isinstance(key, dsa.DSAPrivateKey):
        return Pair(key, "ssh-dss AAAAB3NzaC1kc3MAAACBAP root@old")
    line = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    return Pair(key, f"{line} root@head")


def signed(payload: dict[str, Any], key: Any, algorithm: str, headers: dict[str, Any] | None = None) -> str:
    """A JWT, by PyJWT."""
    return jwt.encode(payload, key, algorithm=algorithm, headers=headers)


def segment(value: object) -> str:
    """One base64url segment of a JWT."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

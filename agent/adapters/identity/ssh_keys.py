"""SSH keys as token keys: which can sign, by which algorithm, and why the others cannot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_ssh_private_key,
    load_ssh_public_key,
)

from agent.config import Auth
from agent.errors import Unavailable
from agent.heads.keys import check_ssh_public

CREDENTIAL = "ssh_host_key"
"""The systemd credential that wins over auth.ssh_key."""

PublicKey = ed25519.Ed25519PublicKey | rsa.RSAPublicKey | ec.EllipticCurvePublicKey
PrivateKey = ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_GOOD = "use an ed25519, ECDSA or RSA key"


class UnusableKey(Exception):
    """A key that cannot sign or check tokens; the text completes "the key ..." with the reason and what can."""


@dataclass(frozen=True, slots=True)
class TokenKey:
    """A public key with the one JWT algorithm (RFC 7518, RFC 8037) that goes with it."""

    key: PublicKey
    algorithm: str


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key with its algorithm, and its public half as it stands in a head's record."""

    key: PrivateKey
    algorithm: str
    ssh_public: str


def token_key(ssh_public: str) -> TokenKey:
    """The key in a head's `ssh_public`; raises UnusableKey. The type decides the algorithm, never the token."""
    try:
        words = check_ssh_public(ssh_public).split()
    except ValueError as err:
        raise UnusableKey(str(err)) from err
    key = load_ssh_public_key(" ".join(words[:2]).encode())
    match key:
        case ed25519.Ed25519PublicKey():
            return TokenKey(key, "EdDSA")
        case rsa.RSAPublicKey():
            return TokenKey(key, "RS256")
        case ec.EllipticCurvePublicKey():
            return TokenKey(key, _CURVES[key.curve.name])
        case _:
            raise UnusableKey(f"is of a type that cannot check tokens: {_GOOD}")


def key_file(auth: Auth, environ: Mapping[str, str]) -> Path:
    """Where the signing key is: the credential that systemd hands over, else auth.ssh_key."""
    if directory := environ.get("CREDENTIALS_DIRECTORY"):
        credential = Path(directory) / CREDENTIAL
        if credential.exists():
            return credential
    return auth.ssh_key


def signing_key(path: Path) -> SigningKey:
    """This head's SSH private key; raises Unavailable saying why it cannot sign. Blocks for the disk."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError as err:
        raise Unavailable(f"cannot sign tokens: there is no SSH key at {path} (auth.ssh_key)", code="ssh-key") from err
    except OSError as err:
        raise Unavailable(f"cannot sign tokens: {path} cannot be read: {err.strerror}", code="ssh-key") from err
    try:
        key = _private(raw)
        public = _public_line(key)
        algorithm = token_key(public).algorithm
    except UnusableKey as err:
        raise Unavailable(f"cannot sign tokens: the SSH key of auth.ssh_key {err}", code="ssh-key") from err
    return SigningKey(key, algorithm, public)


def _public_line(key: PrivateKey) -> str:
    try:
        return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii")
    except ValueError as err:
        raise UnusableKey(f"is on a curve that SSH does not know: {_GOOD}") from err


def _private(raw: bytes) -> PrivateKey:
    """A private key in OpenSSH's own form or, as older hosts have them, in PEM."""
    try:
        if b"BEGIN OPENSSH PRIVATE KEY" in raw:
            key: object = load_ssh_private_key(raw, password=None)
        else:
            key = load_pem_private_key(raw, password=None)
    except TypeError as err:
        raise UnusableKey("is encrypted, and the agent has no passphrase: use a key without one") from err
    except UnsupportedAlgorithm as err:
        raise UnusableKey(f"is of a type that cannot sign tokens: {_GOOD}") from err
    except ValueError as err:
        raise UnusableKey(f"is no private key, or is damaged or missing: {_GOOD}") from err
    if not isinstance(key, PrivateKey):
        raise UnusableKey(f"is of a type (DSA or other) that cannot sign tokens: {_GOOD}")
    return key

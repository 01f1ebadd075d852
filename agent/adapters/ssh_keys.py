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

MIN_RSA_BITS = 2048
CREDENTIAL = "ssh_host_key"
"""The systemd credential that wins over auth.ssh_key."""

PublicKey = ed25519.Ed25519PublicKey | rsa.RSAPublicKey | ec.EllipticCurvePublicKey
PrivateKey = ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_TYPES = ("ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521")
_GOOD = f"use an ed25519, ECDSA or RSA key of at least {MIN_RSA_BITS} bits"


class UnusableKey(Exception):
    """A key that cannot sign or check tokens; the text says why and what can."""


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
    words = ssh_public.split()
    if not words or words[0] not in _TYPES:
        kind = words[0][:40] if words else "nothing"
        raise UnusableKey(f"it is {kind}, which cannot check tokens: {_GOOD}")
    try:
        key = load_ssh_public_key(" ".join(words[:2]).encode())
    except (ValueError, UnsupportedAlgorithm) as err:
        raise UnusableKey(f"it is not a readable OpenSSH public key: {_GOOD}") from err
    if not isinstance(key, PublicKey):
        raise UnusableKey(f"it cannot check tokens: {_GOOD}")
    return TokenKey(key, _algorithm(key))


def _algorithm(key: PublicKey) -> str:
    match key:
        case ed25519.Ed25519PublicKey():
            return "EdDSA"
        case rsa.RSAPublicKey():
            if key.key_size < MIN_RSA_BITS:
                raise UnusableKey(f"it is an RSA key of {key.key_size} bits, which is too weak: {_GOOD}")
            return "RS256"
        case ec.EllipticCurvePublicKey():
            if key.curve.name not in _CURVES:
                raise UnusableKey(f"it is an ECDSA key on {key.curve.name}, which tokens cannot use: {_GOOD}")
            return _CURVES[key.curve.name]


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
        algorithm = _algorithm(key.public_key())
    except UnusableKey as err:
        raise Unavailable(f"cannot sign tokens with the SSH key of auth.ssh_key: {err}", code="ssh-key") from err
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii")
    return SigningKey(key, algorithm, public)


def _private(raw: bytes) -> PrivateKey:
    """A private key in OpenSSH's own form or, as older hosts have them, in PEM."""
    try:
        if b"BEGIN OPENSSH PRIVATE KEY" in raw:
            key: object = load_ssh_private_key(raw, password=None)
        else:
            key = load_pem_private_key(raw, password=None)
    except TypeError as err:
        raise UnusableKey("it is encrypted, and the agent has no passphrase: use a key without one") from err
    except UnsupportedAlgorithm as err:
        raise UnusableKey(f"its type cannot sign tokens: {_GOOD}") from err
    except ValueError as err:
        raise UnusableKey(f"it is no private key, or is damaged or missing: {_GOOD}") from err
    if not isinstance(key, PrivateKey):
        raise UnusableKey(f"its type (DSA or other) cannot sign tokens: {_GOOD}")
    return key

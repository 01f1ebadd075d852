"""The keys and certificates that a head's record holds: whether they are sound, and how a person tells them apart."""

from __future__ import annotations

import base64
import hashlib

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

_TYPES = ("ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521")
_REFUSED = {
    "ssh-dss": "is a DSA key, which proves nothing any more",
    "sk-ssh-ed25519@openssh.com": "is a key on a security token, which cannot sign unattended",
    "sk-ecdsa-sha2-nistp256@openssh.com": "is a key on a security token, which cannot sign unattended",
}
_MIN_RSA_BITS = 2048


def check_ssh_public(text: str) -> str:
    """One OpenSSH public key line, trimmed; raises ValueError unless it can check tokens."""
    line = text.strip()
    words = line.split()
    if "\n" in line or "\r" in line or not line.isprintable():
        raise ValueError("must be one line, as in ssh_host_ed25519_key.pub")
    kind = words[0] if words else ""
    if kind in _REFUSED:
        raise ValueError(f"{_REFUSED[kind]}: use ed25519, RSA or ECDSA")
    if kind not in _TYPES or len(words) < 2:
        raise ValueError(f"must be an OpenSSH public key: a type ({', '.join(_TYPES)}), then the key in base64")
    try:
        key = load_ssh_public_key(" ".join(words[:2]).encode())
    except (ValueError, UnsupportedAlgorithm) as err:
        raise ValueError(f"is not a readable {kind} key") from err
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < _MIN_RSA_BITS:
        raise ValueError(f"is an RSA key of {key.key_size} bits: at least {_MIN_RSA_BITS} are needed")
    return line


def ssh_fingerprint(ssh_public: str) -> str:
    """A public key's fingerprint as `ssh-keygen -l` prints it."""
    try:
        raw = base64.b64decode(ssh_public.split()[1], validate=True)
    except (IndexError, ValueError):
        return "unreadable"
    return "SHA256:" + base64.b64encode(hashlib.sha256(raw).digest()).decode().rstrip("=")


def check_ca_pem(text: str) -> str:
    """PEM certificates, trimmed; raises ValueError unless each is that of a CA."""
    if not text.isascii() or "PRIVATE KEY" in text:
        raise ValueError("must be PEM certificates and nothing else; a private key never belongs in a record")
    try:
        found = x509.load_pem_x509_certificates(text.encode())
        for certificate in found:
            constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
            if not constraints.value.ca:
                raise ValueError(f"holds a certificate that is not a CA's ({certificate.subject.rfc4514_string()})")
            certificate.public_key()
    except x509.ExtensionNotFound as err:
        raise ValueError("holds a certificate without basic constraints, so it is not a CA's") from err
    except (x509.DuplicateExtension, UnsupportedAlgorithm) as err:
        raise ValueError("holds a certificate that cannot be used") from err
    except ValueError as err:
        if str(err).startswith("holds "):
            raise
        raise ValueError("must be one or more certificates in PEM") from err
    return text.strip() + "\n"

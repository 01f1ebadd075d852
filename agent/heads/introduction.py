"""What a head that joins and a head of the cluster tell each other, and what must hold between them. Pure.

Neither shape refuses fields that it does not know: the two agents may be of different versions.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from agent.errors import Conflict, Invalid
from agent.heads.beat import PROTOCOL
from agent.heads.roster import Listing
from agent.heads.tokens import LEEWAY
from agent.model import rfc3339
from agent.ports import Attachment, Issued

MOST_HEADS = 15
"""Every pair of heads keeps two connections and every head judges every other: more than this was never measured."""

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----")
_NAMED = 3
"""CAs that a refusal names, of as many as something that pretends to be a head has shown."""
_SHA256 = re.compile("[0-9a-f]{64}")


class JoinRequest(Struct, frozen=True, kw_only=True):
    """A newcomer's record, its certificate request in PEM, and what it is able to do."""

    uid: str
    ssh_public: str
    request: str
    time: Annotated[datetime, Meta(tz=True)]
    version: str
    protocol: int
    engines: tuple[str, ...]
    """The database engines that it can run."""
    description: str = ""
    names: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    url: str | None = None
    peer_url: str | None = None
    """Where its database engine would talk to its peers."""


class Welcome(Struct, frozen=True):
    """What a newcomer is given. The CA's key in `issued` is a secret."""

    issued: Issued
    listing: Listing
    attachment: Attachment


class PeerUrl(Struct, frozen=True):
    """What GET /head/peerurl says of a head; nothing of it is proved."""

    uid: str
    cluster: str
    store: str
    version: str
    ca_pem: str
    peer_url: str | None = None


def check_protocol(protocol: int, version: str, own_version: str) -> None:
    """Raises Conflict unless a head with that protocol can work with this one: neighbouring ones can."""
    if abs(protocol - PROTOCOL) <= 1:
        return
    older = "the joining head's agent" if protocol < PROTOCOL else "the cluster's agents"
    raise Conflict(
        f"the joining head's agent has version {version[:40]} (protocol {protocol}) and the cluster's {own_version} "
        f"(protocol {PROTOCOL}), which cannot work together: upgrade {older} first",
        code="version",
    )


def check_clocks(newcomer: datetime, cluster: datetime) -> None:
    """Raises Conflict when two clocks are further apart than tokens allow for."""
    apart = abs(newcomer - cluster)
    if apart > LEEWAY:
        raise Conflict(
            f"the clocks are {apart.total_seconds():.0f} s apart, and {LEEWAY.total_seconds():.0f} s are allowed: "
            f"it is {rfc3339(newcomer)} on the joining head and {rfc3339(cluster)} in the cluster. Set them right "
            "(chronyc tracking shows how far off one is)",
            code="clock",
        )


def check_engine(kind: str, engines: Sequence[str]) -> None:
    """Raises Conflict when the newcomer cannot run the cluster's database engine."""
    if kind not in engines:
        can = " or ".join(engines) or "none"
        raise Conflict(
            f"the cluster keeps its records in {kind}, and the joining head can run {can}: see [database] engine and "
            "[etcd] binary in its configuration, and whether the package etcd-server is installed there",
            code="engine",
        )


def read_hash(text: str) -> str:
    """A CA's SHA-256 as 64 lower-case hexadecimal digits; colons and upper case are fine. Raises Invalid."""
    digits = text.strip().lower().removeprefix("sha256:").replace(":", "")
    if not _SHA256.fullmatch(digits):
        raise Invalid(
            "the hash of the CA must be 64 hexadecimal digits: `cw-headctl token --join` on a head of the cluster "
            "prints the whole command",
            code="hash",
        )
    return digits


def proven_ca(ca_pem: str, wanted: str) -> str:
    """The certificate among those in `ca_pem` whose DER has that SHA-256, in PEM; raises Conflict without one."""
    found = []
    for block in _PEM.finditer(ca_pem):
        try:
            digest = hashlib.sha256(base64.b64decode(block.group(1))).hexdigest()
        except binascii.Error:
            continue
        if digest == wanted:
            return block.group(0) + "\n"
        found.append(digest)
    shown = ", ".join(found[:_NAMED]) or "(none could be read)"
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    raise Conflict(
        f"the CA that was shown has the SHA-256 {shown}{more}, not {wanted}: "
        "either the hash is another cluster's, or something pretends to be that head. The token was not sent",
        code="wrong-ca",
    )

"""Which other head is calling: pure rules over one snapshot of the members.

The TLS layer accepts a certificate from any CA that any record names, so it proves nothing by itself. What counts
is decided here, for every request: the certificate must be issued by the CA of the very record that it names.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from agent.errors import Denied
from agent.heads.members import Members
from agent.model import UID_PATTERN, Departure, Head, Tombstone

HEAD_URN = "urn:clusterware:head:"
"""What a head's certificate carries as a URI, followed by the head's uid."""

_UID = re.compile(UID_PATTERN)


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time in which a certificate and the CA above it are both valid."""

    begins: datetime
    ends: datetime

    def holds(self, now: datetime) -> bool:
        """Whether `now` lies in the span."""
        return self.begins <= now <= self.ends


class Certificate(Protocol):
    """What the rules need of a client's certificate."""

    @property
    def uris(self) -> Sequence[str]:
        """The URIs among its subject alternative names."""
        ...

    @property
    def key_sha256(self) -> str:
        """SHA-256, in hex, of its DER SubjectPublicKeyInfo."""
        ...

    def issued_by(self, ca_pem: str) -> Sequence[Window]:
        """A window for each CA of `ca_pem` that signed it directly; empty when none did."""
        ...


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a TCP connection, as the kernel and TLS know it; nothing here comes from a header."""

    address: str
    local_address: str
    """This end of the same connection: a peer with the same address is this head itself."""
    certificate: Certificate | None = None
    unreadable: bool = False
    """A certificate was presented that TLS let in and that we cannot parse."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """A known head, good while the members and the configuration stay the same and a window holds."""

    head: str
    mode: str
    windows: tuple[Window, ...] = ()
    """Empty for the address mode, which has no dates."""

    def holds(self, now: datetime) -> bool:
        """Whether the dates still allow it."""
        return not self.windows or any(window.holds(now) for window in self.windows)


class Unproven(Exception):
    """The peer is not shown to be the head that it should be; the text says why."""


def known_head(
    members: Members, modes: Sequence[str], peer: Peer, own_addresses: Collection[str], now: datetime
) -> Recognised:
    """The other head that this peer is, by the first mode that recognises it.

    Raises Denied: code `removed` or `left` for a head that was one until then, else `not-a-known-head` with what
    each mode had against it. This head itself is not another head: its own tools use the Unix socket.
    """
    reasons = []
    for mode in modes:
        try:
            if mode == "certificate":
                return _by_certificate(members, peer, now)
            return _by_address(members, peer, own_addresses)
        except Unproven as refusal:
            reasons.append(f"{mode}: {refusal}")
    raise Denied(
        "this route is for other heads of the cluster, and the caller is not known as one: " + "; ".join(reasons),
        code="not-a-known-head",
    )


def _by_certificate(members: Members, peer: Peer, now: datetime) -> Recognised:
    certificate = peer.certificate
    if certificate is None:
        raise Unproven("the client's certificate cannot be read" if peer.unreadable else "the client sent none")
    uid = _named(certificate)
    if uid == members.self_uid:
        raise Unproven("it names this head itself, which uses its Unix socket")
    record = members.heads.get(uid)
    if record is None:
        _tell_if_departed(members, uid, certificate)
        raise Unproven(f"it names head {uid}, which has no record here")
    return _issued_to(certificate, uid, record, now)


def prove(certificate: Certificate | None, uid: str, record: Head, now: datetime) -> Recognised:
    """That this certificate, which a server presented, is that of the head with this record; raises Unproven."""
    if certificate is None:
        raise Unproven("it cannot be read")
    if (named := _named(certificate)) != uid:
        raise Unproven(f"it is that of head {named}")
    return _issued_to(certificate, uid, record, now)


def _issued_to(certificate: Certificate, uid: str, record: Head, now: datetime) -> Recognised:
    """What makes a certificate that names a head that head's own: issuer, key, dates."""
    if not record.ca_pem:
        raise Unproven(f"the record of head {uid} has no ca_pem to check it against")
    windows = tuple(certificate.issued_by(record.ca_pem))
    if not windows:
        raise Unproven(f"it is not issued directly by a CA in the ca_pem of head {uid}")
    if record.key_sha256 and record.key_sha256.lower() != certificate.key_sha256:
        raise Unproven(f"its key is not the one that the record of head {uid} pins (key_sha256)")
    recognised = Recognised(uid, "certificate", windows)
    if not recognised.holds(now):
        raise Unproven("it, or the CA that issued it, has expired or is not valid yet (compare the clocks)")
    return recognised


def _named(certificate: Certificate) -> str:
    uids = [uri.removeprefix(HEAD_URN) for uri in certificate.uris if uri.startswith(HEAD_URN)]
    if len(uids) != 1:
        raise Unproven(f"it must name one head as {HEAD_URN}<uid>, and names {len(uids) or 'none'}")
    if not _UID.fullmatch(uids[0]):
        raise Unproven("the uid that it names is not 32 lower-case letters and digits")
    return uids[0]


def _tell_if_departed(members: Members, uid: str, certificate: Certificate) -> None:
    """Tell a head that proves who it was that it is gone; a stranger who merely names it learns nothing."""
    tombstone = members.tombstones.get(uid)
    if tombstone and tombstone.ca_pem and certificate.issued_by(tombstone.ca_pem):
        raise _departed(uid, tombstone)


def _departed(uid: str, tombstone: Tombstone) -> Denied:
    """The refusal that a head learns from; the generation tells one that has joined again that this is old news."""
    departure = tombstone.departure
    what = "was removed from" if departure is Departure.REMOVED else "has left"
    return Denied(
        f"head {uid} {what} this cluster: it must join again before it may call",
        code=departure.value,
        data={"generation": tombstone.generation},
    )


def _by_address(members: Members, peer: Peer, own_addresses: Collection[str]) -> Recognised:
    address = normalise(peer.address)
    if address is None:
        raise Unproven("the peer's address cannot be read")
    if ipaddress.ip_address(address).is_loopback:
        raise Unproven(f"{address} is a loopback address, which every local user shares")
    if address == normalise(peer.local_address) or address in {normalise(own) for own in own_addresses}:
        raise Unproven(f"{address} is this head's own address")
    found = [uid for uid, record in members.heads.items() if uid != members.self_uid and _lists(record, address)]
    if len(found) > 1:
        raise Unproven(f"{address} is in the records of {len(found)} heads, so it does not tell which one calls")
    if not found:
        _tell_if_address_departed(members, address)
        raise Unproven(f"{address} is in no record of a head without ca_pem")
    return Recognised(found[0], "address")


def _lists(record: Head, address: str) -> bool:
    return not record.ca_pem and any(normalise(listed) == address for listed in record.addresses)


def _tell_if_address_departed(members: Members, address: str) -> None:
    gone = [
        (uid, tombstone)
        for uid, tombstone in members.tombstones.items()
        if uid not in members.heads
        and not tombstone.ca_pem
        and any(normalise(listed) == address for listed in tombstone.addresses)
    ]
    if len(gone) == 1:
        raise _departed(*gone[0])


def normalise(address: str) -> str | None:
    """An IP address in its one canonical form: IPv4-mapped IPv6 as IPv4, no zone; None when it is not one."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    return str(parsed)

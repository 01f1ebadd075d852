"""The server's end of TLS: this head's certificate, and the CAs that clients' certificates may come from.

Both change while the server runs. A listener's context cannot be exchanged, but each handshake can be given another
one, and that is what happens here. Letting a certificate in says only that some record's CA issued it; who it is and
whether that head still belongs to the cluster is decided for every request (`heads/trust.py`).
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Iterable

import structlog
from cryptography.hazmat.primitives.serialization import Encoding
from typing_extensions import override

from agent.adapters.identity.checks import authorities
from agent.errors import AgentError, Unavailable
from agent.heads.identity import Identity
from agent.heads.members import Members

log = structlog.get_logger()

_NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL's x509_vfy.h, which Python does not name."""


class ServerTls:
    """Gives each handshake the context that is right at that moment."""

    def __init__(self, members: Callable[[], Members], identity: Callable[[], Identity]) -> None:
        """Raises Unavailable when this head's certificate cannot be loaded. Blocks for the disk."""
        self._members = members
        self._identity = identity
        self._seen: Members | None = None
        self._built: tuple[Identity, frozenset[str]] = (identity(), frozenset())
        self._current = server_context(*self._built)
        self.context = server_context(*self._built)
        """For the listeners; never used for a handshake itself."""
        self.context.sni_callback = self._put_current
        self.context.sslobject_class = _Handshake
        self.refresh()

    def refresh(self) -> None:
        """Build a new context if the CAs or this head's certificate changed; keeps the old one if it cannot.

        Every handshake does this too: calling it when something changes only takes the work, some milliseconds,
        out of the next one.
        """
        identity, (_, ca_pems) = self._identity(), self._built
        with contextlib.suppress(Unavailable):
            members = self._members()
            if members is not self._seen:
                ca_pems = frozenset(_named_cas(members))
                self._seen = members
        if (identity, ca_pems) == self._built:
            return
        self._built = (identity, ca_pems)
        try:
            self._current = server_context(identity, ca_pems)
        except AgentError as err:
            log.warning("TLS keeps its former certificates: restart the agent once this is mended", reason=err.reason)

    def _put_current(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        """OpenSSL calls this in every handshake, also when the client names no server."""
        self.refresh()
        connection.context = self._current


class _Handshake(ssl.SSLObject):
    """A handshake that tells its client why its certificate is not taken.

    asyncio closes the connection without sending the alert that OpenSSL has written.
    """

    _failure: ssl.SSLError | None = None

    @override
    def do_handshake(self) -> None:
        """Raises SSLError, for an untrusted certificate only when asked again: once the alert is on its way."""
        if self._failure is not None:
            raise self._failure
        try:
            super().do_handshake()
        except ssl.SSLCertVerificationError as err:
            log.warning(
                "Certificate of a client refused",
                reason=err.verify_message,
                todo="if it was a head's, have the ca_pem of its record hold the CA that issued it",
            )
            self._failure = err
            raise ssl.SSLWantReadError from err


def server_context(identity: Identity, ca_pems: Iterable[str]) -> ssl.SSLContext:
    """A context with this head's certificate that asks clients for one, issued by its own CA or one of `ca_pems`.

    Raises Unavailable when the certificate cannot be loaded.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_OPTIONAL
    # Any CA of a record is an anchor, whether or not it signed itself: the trust rules ask for the direct issuer.
    # They judge the dates too, on every request: there the caller can be told that its clock or certificate is wrong.
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME
    context.options |= ssl.OP_NO_RENEGOTIATION
    # No sessions in memory: TLS 1.3 resumes none, TLS 1.2 only by tickets that the client keeps. A resumed session
    # carries the certificate that was proved when it began, and is judged by it on every request like any other.
    context.num_tickets = 0
    try:
        context.load_cert_chain(identity.certificate)
    except (OSError, ssl.SSLError) as err:
        raise Unavailable(f"cannot load {identity.certificate}: {err.strerror or err}") from err
    for der in _distinct((identity.ca_pem, *ca_pems)):
        try:
            context.load_verify_locations(cadata=der)
        except ssl.SSLError as err:
            log.warning("CA of a record is not trusted: OpenSSL refuses it", reason=str(err))
    return context


def _named_cas(members: Members) -> Iterable[str]:
    """The CAs of all heads, and of those that are gone, so that these can be told so instead of a failed handshake."""
    for head in members.heads.values():
        if head.ca_pem:
            yield head.ca_pem
    for tombstone in members.tombstones.values():
        if tombstone.ca_pem:
            yield tombstone.ca_pem


def _distinct(ca_pems: Iterable[str]) -> Iterable[bytes]:
    certificates = (certificate for pem in dict.fromkeys(ca_pems) for certificate in authorities(pem))
    return dict.fromkeys(certificate.public_bytes(Encoding.DER) for certificate in certificates)

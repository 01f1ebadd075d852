"""The client's end of TLS between heads: whose certificate a server must show is judged within the handshake.

A URL says where a head answered last, not who answers there now. So nothing is sent before the server has proved to be
the head that was meant, by the rule that clients' certificates are judged by (`heads/trust.py`).
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import datetime

from cryptography.hazmat.primitives.serialization import Encoding
from typing_extensions import override

from agent.adapters.identity.checks import PeerCertificate, authorities
from agent.errors import Unavailable
from agent.heads.identity import Identity
from agent.heads.trust import Unproven, prove
from agent.model import Head

Judge = Callable[[PeerCertificate | None], object]
"""Looks at the certificate that the server presented (None: it cannot be read); raises Unproven."""

_NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL's x509_vfy.h: the judge looks at the dates, and can say what is wrong."""


class NotThatHead(ssl.SSLCertVerificationError):
    """The server's certificate is not the one that was wanted; `why` completes a sentence."""

    def __init__(self, why: str) -> None:
        super().__init__(1, why)
        self.why = why


class JudgingContext(ssl.SSLContext):
    """A client's context whose handshakes fail unless `judge` is content with the server's certificate."""

    judge: Judge


class _Handshake(ssl.SSLObject):
    @override
    def do_handshake(self) -> None:
        """Raises SSLError; NotThatHead before any request could be written."""
        super().do_handshake()
        context, der = self.context, self.getpeercert(binary_form=True)
        assert isinstance(context, JudgingContext)
        try:
            context.judge(PeerCertificate.read(der) if der is not None else None)
        except Unproven as err:
            raise NotThatHead(str(err)) from err


def member_context(
    identity: Identity,
    uid: str,
    record: Head,
    now: Callable[[], datetime],
    proved: Callable[[PeerCertificate], None] = lambda _shown: None,
) -> JudgingContext:
    """For connections to the head with this record, showing this head's certificate; `proved` is told of each of its.

    Raises Unavailable when the record has no CA that can be used, or this head's certificate cannot be loaded.
    Blocks for the disk.
    """

    def judge(shown: PeerCertificate | None) -> None:
        prove(shown, uid, record, now())
        if shown is not None:
            proved(shown)

    context = _judging(record.ca_pem or "", judge)
    try:
        context.load_cert_chain(identity.certificate)
    except (OSError, ssl.SSLError) as err:
        raise Unavailable(f"cannot load {identity.certificate}: {err.strerror or err}") from err
    return context


def introduced_context(ca_pem: str, now: Callable[[], datetime]) -> JudgingContext:
    """For connections to any head whose certificate this CA issued directly; raises Unavailable for no CA at all."""

    def judge(shown: PeerCertificate | None) -> None:
        windows = shown.issued_by(ca_pem) if shown is not None else ()
        if not windows:
            raise Unproven("it is not issued directly by the CA whose hash was given")
        if not any(window.holds(now()) for window in windows):
            raise Unproven("it, or the CA that issued it, has expired or is not valid yet (compare the clocks)")

    return _judging(ca_pem, judge)


def unverified_context() -> ssl.SSLContext:
    """For a first look, of which nothing is believed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _set_up(context)
    context.verify_mode = ssl.CERT_NONE
    return context


def _judging(ca_pem: str, judge: Judge) -> JudgingContext:
    context = JudgingContext(ssl.PROTOCOL_TLS_CLIENT)
    _set_up(context)
    # OpenSSL checks that one of these CAs signed it, whether or not that CA signed itself; the judge does the rest.
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME
    anchors = 0
    for authority in authorities(ca_pem):
        try:
            context.load_verify_locations(cadata=authority.public_bytes(Encoding.DER))
            anchors += 1
        except ssl.SSLError:
            continue
    if not anchors:
        raise Unavailable("there is no CA certificate to check its certificate against", code="unreachable")
    context.judge = judge
    context.sslobject_class = _Handshake
    return context


def _set_up(context: ssl.SSLContext) -> None:
    context.check_hostname = False  # names and addresses change; the uid in the certificate does not
    # TLS 1.2 sends a client's certificate before the server's has been judged, and in the clear.
    context.minimum_version = ssl.TLSVersion.TLSv1_3

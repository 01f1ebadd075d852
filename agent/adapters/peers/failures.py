"""Why another agent could not be asked, as a sentence: the client library's exceptions end here."""

from __future__ import annotations

import errno
import ssl

import aiohttp

from agent.adapters.peers.tls import NotThatHead

FAILURES = (aiohttp.ClientError, OSError, TimeoutError, ValueError)
"""What the client library raises when the other end, the network or the URL is at fault."""
_NO_ANSWER = "no answer to the attempt to connect: it is off, or a firewall is in between"


def why(err: BaseException) -> str:
    """The reason for one of `FAILURES`, to follow on "cannot be reached"."""
    alert = _alert(err)
    match err:
        case aiohttp.ClientConnectorDNSError():
            return f"the name {err.host} does not resolve"
        case aiohttp.ClientConnectorCertificateError() if isinstance(err.certificate_error, NotThatHead):
            return f"its certificate is not the right one: {err.certificate_error.why}"
        case aiohttp.ClientConnectorCertificateError():
            told = getattr(err.certificate_error, "verify_message", "") or str(err.certificate_error)
            return f"its certificate is not issued by the CA that it should be: {told}"
        case _ if alert == "protocol version":
            return "what answers there does not speak TLS 1.3"
        case _ if alert:
            return f"it refuses this head's certificate ({alert})"
        case aiohttp.ClientConnectorSSLError() | ssl.SSLError():
            return "what answers there does not speak TLS as a head agent does"
        case aiohttp.ClientConnectorError() if err.errno == errno.ECONNREFUSED:
            return "the connection is refused: nothing listens there"
        case aiohttp.ClientConnectorError() if err.errno == errno.ETIMEDOUT:
            return _NO_ANSWER
        case aiohttp.ConnectionTimeoutError():
            return _NO_ANSWER
        case TimeoutError():
            return "it did not answer in time"
        case aiohttp.ServerDisconnectedError() | ConnectionError():
            return "the connection broke off"
        case aiohttp.ClientOSError():
            return err.strerror or "the connection broke"
        case _:
            return str(err)[:200] or "the connection broke"


def _alert(err: BaseException) -> str | None:
    """The alert by which the other end broke off TLS, where that is what happened."""
    seen: BaseException | None = err
    while seen is not None:
        _, alert, told = str(getattr(seen, "reason", None)).partition("ALERT_")
        if alert and isinstance(seen, ssl.SSLError):
            return told.lower().replace("_", " ")
        seen = seen.__cause__ or seen.__context__
    return None

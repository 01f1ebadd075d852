"""The TLS context with which this head's agent talks to etcd: its certificate shown, the cluster's CAs believed."""

from __future__ import annotations

import ssl
from pathlib import Path

from agent.errors import Unavailable

Stamp = tuple[int, int, int]


class Tls:
    """Gives the context for the files as they are now: certificates are renewed while the agent runs."""

    def __init__(self, authorities: Path, certificate: Path | None) -> None:
        self._authorities = authorities
        self._certificate = certificate
        self._seen: tuple[Stamp, ...] = ()
        self._context: ssl.SSLContext | None = None

    def __call__(self) -> ssl.SSLContext:
        """The context; raises Unavailable when a file cannot be used."""
        try:
            files = [path for path in (self._authorities, self._certificate) if path]
            seen = tuple((s.st_ino, s.st_mtime_ns, s.st_size) for s in (path.stat() for path in files))
            if self._context is None or seen != self._seen:
                self._context = self._made()
                self._seen = seen
        except (OSError, ssl.SSLError) as err:
            raise Unavailable(f"cannot talk to etcd: its certificates cannot be loaded: {err.strerror or err}") from err
        return self._context

    def _made(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # Any CA of a record is an anchor, whether or not it signed itself.
        context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(self._authorities)
        if self._certificate is not None:
            context.load_cert_chain(self._certificate)
        return context

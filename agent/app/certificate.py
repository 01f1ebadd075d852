"""This head's certificate at the start, and this head's own record, which follows it."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import structlog

from agent import __version__
from agent.adapters.addresses import reachable_addresses
from agent.adapters.clock import SystemClock
from agent.adapters.identity.files import IdentityFiles, Place
from agent.adapters.identity.handover import Handover
from agent.adapters.identity.keeper import IdentityKeeper
from agent.adapters.identity.ssh_keys import signing_key
from agent.adapters.identity.tls import ServerTls
from agent.adapters.sqlite.errors import Damaged
from agent.app.background import Work
from agent.config import Live
from agent.config.sections import Api as ApiSection
from agent.errors import Unavailable
from agent.heads.identity import Identity
from agent.heads.registry import HeadRegistry
from agent.loops import Loops
from agent.model import Head

log = structlog.get_logger()


class Certificate:
    """This head's certificate and what depends on it; without one the agent serves the Unix socket alone."""

    def __init__(self, problem: str | None, *, lacks_database: bool = False) -> None:
        self.problem = problem
        self.lacks_database = lacks_database
        """Whether there would be a certificate if the database could be used."""
        self.tls: ServerTls | None = None
        self.background: list[Work] = []
        self._keeper: IdentityKeeper | None = None

    def identity(self) -> Identity:
        """What the certificate says now; raises Unavailable when there is none."""
        return self.keeper().identity

    def keeper(self) -> IdentityKeeper:
        """What keeps the certificate; raises Unavailable when there is none."""
        if self._keeper is None:
            raise Unavailable(self.problem or "this head has no certificate")
        return self._keeper

    @classmethod
    async def of(
        cls, files: IdentityFiles, registry: HeadRegistry, key: Path, live: Live, clock: SystemClock, loops: Loops
    ) -> Certificate:
        """The certificate on disk, made where there is none; this head's own record follows it."""
        cluster: str | None = None
        try:
            await registry.load()
            cluster = registry.members.cluster
        except Unavailable as err:
            damaged = err.code == Damaged.default_code
            todo = "see `cw-headctl database restore`" if damaged else "mend that; the agent tries again by itself"
            log.error("Database cannot be used", reason=err.reason, todo=todo)
        try:
            if cluster is not None:  # a join or a leave may have been cut off
                await asyncio.to_thread(Handover(live.config.state.directory).settle, cluster)
            identity = await asyncio.to_thread(files.open, cluster, clock.now())
        except Unavailable as err:
            log.error("Certificate cannot be used: only the Unix socket is served", reason=err.reason)
            return cls(err.reason, lacks_database=cluster is None)
        made = cls(None)

        async def follow(fresh: Identity) -> None:
            if made.tls is not None:
                made.tls.refresh()
            await _write_own_record(registry, fresh, key, live)

        made._keeper = keeper = IdentityKeeper(files, identity, clock, loops, follow)
        made.tls = await asyncio.to_thread(ServerTls, lambda: registry.members, made.identity)
        made.background = [keeper.run]
        try:
            await follow(identity)
        except Unavailable as err:
            log.error("This head's own record is not written", reason=err.reason)
        return made


async def _write_own_record(registry: HeadRegistry, identity: Identity, key: Path, live: Live) -> None:
    """Have this head's record say what is so; raises Unavailable without an SSH key or the database."""
    signing = await asyncio.to_thread(signing_key, key)
    await registry.ensure_self(
        Head(
            ssh_public=signing.ssh_public,
            description=socket.gethostname(),
            ca_pem=identity.ca_pem,
            addresses=identity.addresses,
            key_sha256=identity.key_sha256,
            url=identity.url,
            peer_url=live.config.peer_url or None,
            version=__version__,
        )
    )


def place(api: ApiSection) -> Place:
    """How this head is reached. Its names come from the host name alone: DNS could keep the start waiting."""
    host = socket.gethostname()
    names = tuple(name for name in dict.fromkeys((host, host.partition(".")[0])) if name != "localhost")
    return Place(names, reachable_addresses(), api.listen, api.url)

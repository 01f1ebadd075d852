"""The composition root: builds every object once, in order, and takes them down in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from agent import __version__, hostfiles
from agent.adapters.addresses import own_addresses, reachable_addresses
from agent.adapters.clock import SystemClock
from agent.adapters.filestore.directory import DirectoryStore
from agent.adapters.identity.checks import PeerCertificate
from agent.adapters.identity.files import IdentityFiles, Place
from agent.adapters.identity.keeper import IdentityKeeper
from agent.adapters.identity.ssh_keys import key_file, signing_key
from agent.adapters.identity.tls import ServerTls
from agent.adapters.identity.tokens import JwtMaker, JwtVerifier
from agent.adapters.sqlite.errors import Damaged
from agent.adapters.sqlite.store import SqliteStore
from agent.adapters.systemd.units import SystemdUnits
from agent.api.access import AccessGate
from agent.api.listening import serving, sockets
from agent.api.openapi import described
from agent.api.rooms import Rooms
from agent.api.routes import ROUTES
from agent.api.server import Api
from agent.config import ConfigError, Live, reload
from agent.database.backups import Backups
from agent.database.cleaning import Cleaner
from agent.database.membership import Membership
from agent.errors import AgentError, Unavailable
from agent.files.collector import Collector
from agent.files.objects import ObjectReferences, objects
from agent.heads.directory import HeadDirectory
from agent.heads.identity import Identity
from agent.heads.liveness import unwatched
from agent.heads.registry import HeadRegistry
from agent.lifecycle import Signals, notify, notify_reloading, watchdog
from agent.log import Logging
from agent.loops import Loops, periodic
from agent.model import Head
from agent.ports import Dependency
from agent.services.supervisor import Supervisor

log = structlog.get_logger()

FIRST_LOOK = 2.0
"""Seconds that READY waits for the first look at the units; without D-Bus the agent serves what it can."""
MEMBERS = 3600.0
"""Seconds between two readings of the members that nothing has called for; a change wakes the loop at once."""
DATABASE = 5.0
"""Seconds between two attempts to open a database that is away; nothing signals that a disk has room again."""

Work = Callable[[], Coroutine[Any, Any, object]]


async def run(path: Path, live: Live) -> int:
    """Run the daemon until a signal stops it; returns the exit status."""
    status = 0
    logging = Logging(live.config.log.level, live.config.log.format)
    signals = Signals()
    try:
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
            background = Background(group)
            agent = await build(live, stack, background)
            background.start(_reloads(path, live, signals, logging, agent.supervisor))
            if agent.lacking is not None:
                background.start(_start_again(agent.lacking, signals))
            await _serve(agent, live, signals)
            background.stop()
            if signals.again:
                status = os.EX_TEMPFAIL
    except* AgentError as group:
        for err in _leaves(group):
            log.error("Agent failed", reason=str(err))
        status = 1
    except* Exception as group:  # a bug ends the process in order, with its traceback in the journal
        log.error("Agent failed", exc_info=group)
        status = 1
    finally:
        logging.close()
    return status


@dataclass(slots=True)
class Agent:
    """What was built and has to run."""

    api: Api
    tls: ServerTls | None
    """None when this head has no certificate: then only the Unix socket is served."""
    supervisor: Supervisor
    lacking: SqliteStore | None
    """The database, when this head has no certificate for want of it; None otherwise."""


class Background:
    """The loops. They outlive the listeners, as requests in flight still need them; a bug in one ends the process."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._tasks: list[asyncio.Task[object]] = []

    def start(self, *works: Coroutine[Any, Any, object]) -> None:
        """Have these run until `stop`."""
        self._tasks += [self._group.create_task(work) for work in works]

    def stop(self) -> None:
        """Cancel them all."""
        for task in self._tasks:
            task.cancel()


async def build(live: Live, stack: AsyncExitStack, background: Background) -> Agent:
    """Build every room. Raises Unavailable only for what the agent cannot do anything without."""
    config, clock, loops = live.config, SystemClock(), Loops()
    state = config.state.directory
    _make_directory(state)
    supervisor = Supervisor(SystemdUnits(), live, loops, clock)
    background.start(supervisor.run())  # systemd answers while the database opens
    _tell_differences(live)
    key = key_file(config.auth, os.environ)

    store = await stack.enter_async_context(SqliteStore.open(config.database.path))
    registry = HeadRegistry(store, config.head.uid, clock)
    watch = unwatched(clock.now())
    heads = HeadDirectory(store, registry, clock, watch)
    files = IdentityFiles(state, config.head.uid, lambda: _place(config.api.listen))
    certificate = await _Certificate.of(files, registry, key, live, clock, loops)

    references = ObjectReferences(store)
    file_store = DirectoryStore(config.files.root)
    stack.callback(file_store.close)
    collector = Collector(file_store, references, live, loops, clock)

    backups = Backups(store, state / "backups", live, clock, registry.load)
    rooms = Rooms(
        live=live,
        loops=loops,
        dependencies=(
            Dependency("systemd", _known(lambda: supervisor.problem)),
            Dependency("database", _known(lambda: store.problem)),
            Dependency("files", collector.problem),
            Dependency("certificate", _known(lambda: certificate.problem)),
        ),
        openapi=described(ROUTES),
        cleaner=Cleaner(store, store, collector.housekeeping, backups, live, clock),
        backups=backups,
        membership=Membership(store, config.head.uid),
        engine=store,
        members=lambda: registry.members,
        identity=certificate.identity,
        token_maker=JwtMaker(key, lambda: registry.members, clock),
        heads=heads,
        objects=objects(store),
        supervisor=supervisor,
        collector=collector,
    )
    gate = AccessGate(live, rooms.members, JwtVerifier(), PeerCertificate.read, own_addresses, clock)
    members_loop, database_loop = loops.add("members", MEMBERS), loops.add("database", DATABASE)
    background.start(
        collector.run(),
        *(work() for work in certificate.background),
        periodic(members_loop, registry.reconcile, wake=registry.changed),
        periodic(database_loop, store.reopen_if_needed),
        watchdog(loops),
    )
    return Agent(Api(rooms, gate, ROUTES), certificate.tls, supervisor, store if certificate.lacks_database else None)


class _Certificate:
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
        if self._keeper is None:
            raise Unavailable(self.problem or "this head has no certificate")
        return self._keeper.identity

    @classmethod
    async def of(
        cls, files: IdentityFiles, registry: HeadRegistry, key: Path, live: Live, clock: SystemClock, loops: Loops
    ) -> _Certificate:
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


async def _serve(agent: Agent, live: Live, signals: Signals) -> None:
    """Answer until a signal says stop."""
    listeners = sockets(live.config)
    if agent.tls is None:
        listeners = [sock for sock in listeners if sock.family == socket.AF_UNIX]
    context = agent.tls.context if agent.tls else None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(FIRST_LOOK):
            await agent.supervisor.ready()
    async with serving(agent.api, listeners, context, lambda: live.config.api.drain):
        notify("READY=1")
        log.info("Agent started", version=__version__, head=live.config.head.uid)
        await signals.stop.wait()
        notify("STOPPING=1")
        log.info("Agent is stopping")


async def _reloads(path: Path, live: Live, signals: Signals, logging: Logging, supervisor: Supervisor) -> None:
    """Read the configuration again on SIGHUP: take what can change, name what cannot, refuse what is wrong."""
    while True:
        await signals.reload.wait()
        signals.reload.clear()
        notify_reloading()
        try:
            changed, later = await asyncio.to_thread(reload, live, path)
        except ConfigError as err:
            log.error("Configuration refused", reason=str(err), todo="mend the file and reload again; nothing changed")
        else:
            logging.set_level(live.config.log.level)
            supervisor.reselect()
            await asyncio.to_thread(_tell_differences, live)
            log.info("Configuration reloaded", changed=changed, needs_restart=later)
        notify("READY=1")


async def _start_again(store: SqliteStore, signals: Signals) -> None:
    """Stop once the database can be used, to be started anew: that start makes the certificate this one could not."""
    changed = asyncio.Event()
    store.on_change(lambda _kinds: changed.set())
    while store.problem is not None:
        await changed.wait()
        changed.clear()
    log.info("Starting again, now that the database can be used")
    signals.again = True
    signals.stop.set()


def _make_directory(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as err:
        raise Unavailable(f"cannot make the state directory {directory}: {err.strerror}") from err


def _tell_differences(live: Live) -> None:
    """Say which of root's files no longer follow the configuration; the agent could not write them."""
    found = hostfiles.differences(
        live.config, lambda path: path.read_text(encoding="utf-8"), hostfiles.store_group(live.config.files.root)
    )
    if found:
        log.warning(
            "Static files differ from the configuration",
            files=[str(path) for path in found],
            todo="run `cw-headctl config apply` as root",
        )


def _place(listen: tuple[str, ...]) -> Place:
    """How this head is reached. Its names come from the host name alone: DNS could keep the start waiting."""
    host = socket.gethostname()
    names = tuple(name for name in dict.fromkeys((host, host.partition(".")[0])) if name != "localhost")
    return Place(names, reachable_addresses(), listen)


def _known(problem: Callable[[], str | None]) -> Callable[[], Awaitable[str | None]]:
    """What is known already, in the form that a Dependency asks for."""

    async def ask() -> str | None:
        return problem()

    return ask


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for err in group.exceptions:
        if isinstance(err, BaseExceptionGroup):
            yield from _leaves(err)
        else:
            yield err

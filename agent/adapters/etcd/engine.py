"""The engine of this head: which one it is, from one to another while the agent runs, and the unit that it needs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial

import msgspec
import structlog

from agent.adapters.etcd.authorities import Authorities
from agent.adapters.etcd.choice import ETCD, SQLITE, Choice, contradiction, read, should_found, write
from agent.adapters.etcd.client import TlsProvider
from agent.adapters.etcd.cluster import Cluster
from agent.adapters.etcd.founding import Founder
from agent.adapters.etcd.keeping import MEMBER_DOWN, MEMBER_LOST, Keeper
from agent.adapters.etcd.leftovers import clear_away
from agent.adapters.etcd.members import VOTERS, has_quorum
from agent.adapters.etcd.opening import Opened, Opener
from agent.adapters.etcd.settings import AUTHORITIES, CERTIFICATE
from agent.adapters.etcd.tls import Tls
from agent.adapters.etcd.transfer import blocking, newer, on_its_own, read_archive, write_archive
from agent.adapters.sqlite import archive
from agent.adapters.store import CurrentStore
from agent.config import Config, ConfigError
from agent.errors import AgentError, Conflict, Unavailable
from agent.heads.identity import Identity
from agent.heads.members import Members
from agent.loops import Loops
from agent.model import Kind, Record
from agent.ports import Attachment, Clock, EngineMember, UnitManager

log = structlog.get_logger()

LONGEST_PAUSE = 600.0
"""Seconds between two attempts to begin an etcd, once several have failed."""


class HeadEngine:
    """`LocalEngine` and `ClusterEngine` of this head, for as long as the agent runs; `store` is read from by everybody.

    One change at a time. The replacement of `engine.json` is the moment of each: what was begun before it is undone by
    the next start, what was left to do after it is done.
    """

    def __init__(self, founder: Founder, opener: Opener, choice: Choice, opened: Opened, voters: int) -> None:
        self._voters = voters
        self.store = CurrentStore(opened.store)
        self._founder = founder
        self._opener = opener
        self._keeper = Keeper(founder, self.store)
        self._config = founder.config
        self._state = founder.config.state.directory
        self._choice = choice
        self._opened = opened
        self.changed = asyncio.Event()
        """Wakes the loop: something that it follows is another than before."""
        self._turn = asyncio.Lock()
        self.problem: str | None = None
        """Why this head's own member does not run, where it should."""
        self._failure: AgentError | None = None
        self._pause = 5.0
        self._not_before = 0.0

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls,
        config: Config,
        units: UnitManager,
        clock: Clock,
        addresses: Callable[[], Sequence[str]],
        identity: Callable[[], Identity],
        members: Callable[[], Members],
        loops: Loops,
        voters: int = VOTERS,
    ) -> AsyncIterator[HeadEngine]:
        """The engine in force, its store open; it waits for no quorum.

        `addresses`: this head's own, the best first. `identity` and `members` raise Unavailable while not known.
        Raises ConfigError when configuration and engine cannot go together, Unavailable when that cannot be told.
        """
        state = config.state.directory
        choice = await blocking(lambda: read(state))
        if why := contradiction(config, choice):
            raise ConfigError(why)
        await blocking(lambda: clear_away(state, choice))
        async with asyncio.TaskGroup() as group:
            opener = Opener(group, config, clock, _tls(config), lambda: members().cluster, loops, voters)
            founder = Founder(config, units, opener, clock, addresses, Authorities(identity, members))
            engine = cls(founder, opener, choice, await opener.open(choice), voters)
            try:
                yield engine
            finally:
                await engine._opened.close()

    @property
    def peer_url(self) -> str | None:
        """Where this head's own member talks to the others; None while it has none."""
        try:
            return self._founder.member(self._choice.directory).peer_url if self._choice.directory else None
        except Unavailable:
            return None

    # --- ClusterEngine ---

    @property
    def kind(self) -> str:
        """`sqlite` or `etcd`."""
        return self._opened.membership.kind

    async def members(self) -> Sequence[EngineMember]:
        """The members there are, by uid."""
        return await self._opened.membership.members()

    async def objection(self, uid: str) -> str | None:
        """Why the engine cannot do without that head's member now, or None."""
        return await self._opened.membership.objection(uid)

    async def invite(self, uid: str, peer_url: str) -> Attachment:
        """Make room for the engine of a head that joins."""
        return await self._opened.membership.invite(uid, peer_url)

    async def promote(self, uid: str) -> bool:
        """Give a learner that has caught up its vote."""
        return await self._opened.membership.promote(uid)

    async def dismiss(self, uid: str) -> None:
        """Take the member of a head that is gone, or goes, out."""
        await self._opened.membership.dismiss(uid)

    # --- LocalEngine ---

    async def attach(self, attachment: Attachment) -> None:
        """Become a member of the cluster's etcd; a member already is left as it is."""
        async with self._turn:
            if attachment.engine == SQLITE:
                if self._choice.engine != SQLITE:
                    await self._found(SQLITE, None)
                return
            await self._attach(attachment)

    async def found(self, kind: str, records: Sequence[Record] | None = None) -> None:
        """Begin an engine of that kind with these records, or with all that there are."""
        async with self._turn:
            await self._found(kind, records)

    async def rescue(self) -> None:
        """Go on as the one member of a new etcd, with the newest records that this head has.

        Once its copy of the records is written it is ended: by the next start, when the agent is killed in the middle.
        """
        async with self._turn:
            if self._choice.engine != ETCD:
                raise Conflict("cannot recover: this head's records are not in etcd", code="not-etcd")
            if self._config.etcd.endpoints:
                raise Conflict(
                    "cannot recover: the etcd is the site's own ([etcd] endpoints): recover it as its own manual says",
                    code="adopted",
                )
            # What an earlier rescue has left is older than what there is now.
            await self._drop("rescued", "rescued-own", "rescued-copy")
            await write_archive(self._state / "rescued-copy.db", self.store, None)
            await self._choose(msgspec.structs.replace(self._choice, rescuing=True))
            await self._rescue()

    async def believed(self) -> str | None:
        """The CAs (PEM) that this head's running etcd believes, "" while it is not ready.

        On a head without one they are those that it believes of the others' members; None where it asks none.
        """
        if self._choice.engine != ETCD or self._config.etcd.endpoints:
            return None
        believed = await self._founder.unit().believed()
        return believed if believed is None or not self._choice.directory or await self._is_ready() else ""

    # --- The loop ---

    async def reconcile(self) -> None:
        """A loop's work: have everything be as the choice says. Raises Unavailable with what stands in the way."""
        if self._turn.locked():
            return  # a change is under way, and tells of itself
        async with self._turn:
            if self._choice.rescuing:
                await self._less_and_less_often(self._rescue)
            elif should_found(self._config, self._choice) and await self._is_alone():
                await self._less_and_less_often(partial(self._found, ETCD, None))
            try:
                await self._keeper.follow(self._choice, self._opened)
            except Unavailable as err:
                self.problem = err.reason if err.code in (MEMBER_DOWN, MEMBER_LOST) else None
                if not await self._has_lost_its_member(err):
                    raise
                self.problem = f"this head's database member is lost, and another is begun: {err.reason}"
                await self._less_and_less_often(self._come_back)
            self.problem = None
            await self._remember()
            await self._stand_in()

    async def _found(self, kind: str, records: Sequence[Record] | None) -> None:
        source = self._state / "moving.db"
        if kind == ETCD and self._config.database.engine == SQLITE:
            raise Conflict(
                "[database] engine = sqlite in this head's configuration, and with that the agent starts on no etcd: "
                "set it to auto, restart the agent, then ask again; nothing was changed",
                code="engine",
            )
        if kind == ETCD and not self._config.etcd.endpoints:
            await self._founder.unit().need_binary()
        async with self.store.still():
            try:
                await write_archive(source, self.store, records)
                if kind == self._choice.engine == SQLITE:
                    await self.store.restore(source)
                elif kind == SQLITE:
                    await self._take(*await self._founder.embed(source))
                else:
                    await self._take(*await self._founder.begin(source))
            except AgentError:
                await self._settle()  # back to what is in force
                raise
            finally:
                await self._drop("moving")
        log.warning("Database engine begun", engine=kind, cluster=self._choice.cluster or None)

    async def _less_and_less_often(self, begin: Callable[[], Awaitable[None]]) -> None:
        """Do what was begun, or has to be begun, unless that has failed just now."""
        now = self._founder.clock.monotonic()
        if self._failure is not None and now < self._not_before:
            raise Unavailable(self._failure.reason, code=self._failure.code)
        try:
            await begin()
        except AgentError as err:
            # Each attempt puts aside what it began: too many would fill the disk.
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
            self._failure, self._not_before = err, now + self._pause
            raise
        self._failure, self._pause = None, 5.0

    async def _attach(self, attachment: Attachment) -> None:
        details = attachment.details
        there = self._choice.engine == ETCD and self._choice.cluster == attachment.cluster
        # A new member begins with no data: those of one that was dismissed are of no use to etcd any more.
        if there and not details.get("new") and bool(self._choice.directory) == bool(details.get("member")):
            return
        if there and await self._has_come_back():
            return
        async with self.store.still():
            try:
                await self._take(*await self._founder.come_in(attachment))
            except AgentError:
                await self._settle()
                raise
        if self._choice.directory:
            await self._founder.caught_up(self._opened)
        log.warning("Database joined", cluster=attachment.cluster, member=bool(self._choice.directory))

    async def _has_come_back(self) -> bool:
        """Whether the loop was faster: it has begun this head's member anew since the head was invited."""
        if not self._choice.directory or not await self._is_ready():
            return False
        try:
            members = await self.members()
        except Unavailable:
            return False
        return any(member.head == self._config.head.uid and member.healthy for member in members)

    async def _rescue(self) -> None:
        rescued, own, copy = (self._state / f"{name}.db" for name in ("rescued", "rescued-own", "rescued-copy"))
        async with self.store.still():
            if not await blocking(rescued.exists):
                salvaged = bool(self._choice.directory) and await self._founder.salvage(self._choice, own)
                newest = await newer(own, copy) if salvaged else copy
                found = await read_archive(newest)
                rows = on_its_own(found, self._config.head.uid, self._founder.clock.now())
                await blocking(lambda: archive.replace(rescued, rows, found.revision))
            await self._take(*await self._founder.begin(rescued))
            await self._drop("rescued", "rescued-own", "rescued-copy")
        log.warning("Database rescued: this head is its only member", cluster=self._choice.cluster)

    async def _take(self, choice: Choice, opened: Opened) -> None:
        """Put another engine in force."""
        try:
            await self._choose(choice)
        except BaseException:
            await opened.close()
            raise
        former, self._opened = self._opened, opened
        self.store.switch(opened.store)
        await former.close()
        await self._settle()

    async def _choose(self, choice: Choice) -> None:
        await blocking(lambda: write(self._state, choice))
        self._choice = choice

    async def _settle(self) -> None:
        """Have everything be as the choice says, as far as that can be done at once; the loop does the rest."""
        with contextlib.suppress(AgentError):
            await self._keeper.follow(self._choice, self._opened, changing=True)

    async def _drop(self, *archives: str) -> None:
        """Remove archives that were made on the way."""
        for name in archives:
            await blocking(partial((self._state / f"{name}.db").unlink, missing_ok=True))

    async def _remember(self) -> None:
        """Keep where the members are now, this head's own first: the next start asks there."""
        client, choice = self._opened.client, self._choice
        if client is None or self._config.etcd.endpoints:
            return
        own = self._founder.member(choice.directory) if choice.directory else None
        if own and own.client_url not in client.endpoints.all:  # its address has changed: there may be no other to ask
            moved = msgspec.structs.replace(choice, endpoints=(own.client_url, *choice.endpoints))
            await self._take(moved, await self._opener.open(moved))
            return  # the rest is for the next turn, which asks there
        members = await Cluster(client).member_list()
        others = [url for member in members for url in member.client_urls]
        known = msgspec.structs.replace(
            choice, endpoints=tuple(dict.fromkeys((*([own.client_url] if own else []), *others)))
        )
        if set(known.endpoints) != set(choice.endpoints):
            await self._choose(known)
        if own and any(one.name == own.uid and own.peer_url not in one.peer_urls for one in members):
            await self._keeper.move(own, self._opened)

    async def _stand_in(self) -> None:
        """Become a member where one has left and this head has none yet; another head may be faster.

        A member of this head's own is what a former attempt has left: no other head takes it out.
        """
        client, uid = self._opened.client, self._config.head.uid
        if client is None or self._choice.directory or self._config.etcd.endpoints:
            return
        voters = [one for one in await Cluster(client).member_list() if one.name != uid and not one.learner]
        if len(voters) >= self._voters:
            return  # as nearly always: no member has to be asked how it is
        members = await self.members()
        others = [member for member in members if member.head != uid]
        if all(member.voter for member in others) and len(others) < self._voters and has_quorum(members):
            try:
                await self._attach(await self.invite(uid, self._founder.member("").peer_url))
            except Conflict as err:
                log.info("Database has no room for this head's member now", reason=err.reason)

    async def _has_lost_its_member(self, failure: Unavailable) -> bool:
        """Whether this is a head of a cluster with a quorum whose own member has no data, or was taken out.

        The others take one out whose head is removed, which may come in again meanwhile.
        """
        if not self._choice.directory or self.store.age is not None:
            return False
        uid = self._config.head.uid
        if await self.store.get(Kind.HEAD, uid) is None:
            return False
        return failure.code == MEMBER_LOST or all(member.head != uid for member in await self.members())

    async def _come_back(self) -> None:
        """Begin a new member in place of one that is lost."""
        log.warning("Database member lost: beginning another", reason=self.problem)
        await self._attach(await self.invite(self._config.head.uid, self._founder.member("").peer_url))

    async def _is_ready(self) -> bool:
        """Whether this head's own member answers and knows a leader."""
        client = self._opened.client
        if client is None:  # the engine was changed meanwhile
            return False
        try:
            return (await Cluster(client).status(self._founder.member(self._choice.directory).client_url)).leader != 0
        except AgentError:
            return False

    async def _is_alone(self) -> bool:
        heads = await self.store.records(Kind.HEAD)
        return {head.uid for head in heads} <= {self._config.head.uid}


def _tls(config: Config) -> TlsProvider:
    """How to talk to etcd: as a head, or as the configuration says of the site's own."""
    state, etcd = config.state.directory, config.etcd
    if not etcd.endpoints:
        return Tls(state / AUTHORITIES, state / CERTIFICATE)
    if etcd.ca is None:
        return lambda: None
    return Tls(etcd.ca, etcd.certificate)

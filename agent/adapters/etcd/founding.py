"""The beginning of an engine on this head: a new etcd of one member, a member among others, a file of its own."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import structlog

from agent.adapters.etcd.authorities import Authorities
from agent.adapters.etcd.choice import ETCD, Choice
from agent.adapters.etcd.generations import install
from agent.adapters.etcd.keys import Layout
from agent.adapters.etcd.leftovers import PREFIX
from agent.adapters.etcd.opening import Opened, Opener
from agent.adapters.etcd.settings import AUTHORITIES, SETTINGS, Member, render
from agent.adapters.etcd.transfer import blocking, read_archive, verify
from agent.adapters.etcd.unit import EtcdUnit, NotStarted
from agent.adapters.sqlite import file as sqlite_file
from agent.adapters.sqlite.archive import Archive
from agent.config import Config
from agent.errors import AgentError, Conflict, Unavailable
from agent.model import Kind
from agent.ports import Attachment, Clock, UnitManager

log = structlog.get_logger()

START = 60.0
"""Seconds in which a new member must be ready: one that comes into a cluster first hears of its leader."""
HEARD_OF = 15.0
"""Seconds in which every member must have heard of one that comes in: etcd ends when it asks one that has not."""
CATCH_UP = 120.0
"""Seconds in which a learner must have caught up with the leader."""
PAUSE = 0.2


@dataclass(frozen=True, slots=True)
class Founder:
    """Makes engines ready, and leaves it to whoever asked to put them in force. Every method raises Unavailable."""

    config: Config
    units: UnitManager
    opener: Opener
    clock: Clock
    addresses: Callable[[], Sequence[str]]
    """This head's addresses that others can use, the best first."""
    authorities: Authorities

    def member(self, directory: str) -> Member:
        """This head's member with that data directory."""
        address = next(iter(self.addresses()), None)
        if address is None:
            raise Unavailable("cannot run etcd: this head has no address that other heads could reach")
        ports = self.config.etcd
        state = self.config.state.directory
        return Member(self.config.head.uid, address, ports.client_port, ports.peer_port, state, directory)

    def unit(self) -> EtcdUnit:
        """The unit that runs this head's member."""
        state = self.config.state.directory
        return EtcdUnit(state / SETTINGS, state / AUTHORITIES, self.units, self.config.etcd.binary)

    async def begin(self, source: Path) -> tuple[Choice, Opened]:
        """A new etcd that holds what the archive does: of this head's one member, or in the site's own."""
        if self.config.etcd.endpoints:
            choice = Choice(ETCD, self.config.etcd.endpoints)
        else:
            token = secrets.token_hex(8)
            member = self.member(f"{PREFIX}{token}")
            await self.unit().run(render(member, token), self.authorities.own(), timeout=START, fresh=True)
            choice = Choice(ETCD, (member.client_url,), directory=member.directory, token=token)
        archive = await read_archive(source)
        choice = await self._import(archive, choice)
        opened = await self._open_filled(choice)
        try:
            await verify(archive, opened.store)
        except BaseException:
            await opened.close()
            raise
        return choice, opened

    async def come_in(self, attachment: Attachment) -> tuple[Choice, Opened]:
        """A learner of the cluster's etcd, or, where it has voters enough, a user of theirs.

        A vote it gets (`caught_up`) only once it is in force: of a cluster of two, one that never starts again stops
        the other.
        """
        details = attachment.details
        if bool(details.get("adopted")) != bool(self.config.etcd.endpoints):
            raise Conflict(_MISFIT[bool(details.get("adopted"))], code="other-etcd")
        endpoints = self.config.etcd.endpoints or tuple(details["endpoints"])
        choice = Choice(ETCD, endpoints, attachment.cluster)
        if not details.get("member"):
            await self.unit().believe(self.authorities.own())
            return choice, await self._open_filled(choice)
        token = secrets.token_hex(8)
        member, peers = self.member(f"{PREFIX}{token}"), dict(details["peers"])
        choice = Choice(ETCD, (member.client_url, *endpoints), attachment.cluster, member.directory, token, peers)
        await self._start_among_others(render(member, token, peers))
        return choice, await self._open_filled(choice)

    async def _start_among_others(self, settings: str) -> None:
        ends = self.clock.monotonic() + HEARD_OF
        while True:
            try:
                return await self.unit().run(settings, self.authorities.own(), timeout=START, fresh=True)
            except NotStarted as err:
                if self.clock.monotonic() >= ends:
                    raise
                log.debug("Database member started again", reason=err.reason)
            await asyncio.sleep(PAUSE)

    async def caught_up(self, opened: Opened) -> None:
        """Wait until the cluster has given this head's learner its vote, as it does once that has caught up."""
        ends = self.clock.monotonic() + CATCH_UP
        while not await opened.membership.promote(self.config.head.uid):
            if self.clock.monotonic() >= ends:
                raise Unavailable("this head's database member has not caught up with the others: try again")
            await asyncio.sleep(PAUSE)

    async def embed(self, source: Path) -> tuple[Choice, Opened]:
        """A file of this head's own that holds what the archive does."""
        path = self.config.database.path
        newest = (await read_archive(source)).revision
        await blocking(lambda: sqlite_file.stage(source, path, newest))
        choice = Choice()
        opened = await self.opener.open(choice)
        if opened.store.problem is not None:
            await opened.close()
            raise Unavailable(opened.store.problem)
        return choice, opened

    async def salvage(self, choice: Choice, target: Path) -> bool:
        """Have what this head's own member holds, quorum or not, in an archive; False when it holds nothing usable.

        Its data are started as those of a cluster of one (`--force-new-cluster`); they are not used again.
        """
        member = self.member(choice.directory)
        try:
            settings = render(member, choice.token, choice.peers, alone=True)
            await self.unit().run(settings, self.authorities.own(), timeout=START, fresh=True)
            opened = await self._open_filled(Choice(ETCD, (member.client_url,)))
            try:
                await opened.store.backup(target)
            finally:
                await opened.close()
        except AgentError as err:
            log.warning("This head's own database member cannot be used: its copy is", reason=err.reason)
            return False
        return True

    async def _import(self, archive: Archive, choice: Choice) -> Choice:
        """Lay the records down in an etcd that holds none; the choice, with the id of its cluster."""
        opened = await self._open_filled(choice)
        try:
            if held := await opened.store.records(Kind.CLUSTER):
                raise Conflict(
                    f"the etcd holds the records of cluster {held[0].body.get('id')} already: have this head join that "
                    "one, or give it an etcd of its own",
                    code="occupied",
                )
            assert opened.client is not None  # it is etcd
            await install(opened.client, Layout(), archive.rows, base=archive.revision)
            return msgspec.structs.replace(choice, cluster=f"{opened.client.cluster_id or 0:x}")
        finally:
            await opened.close()

    async def _open_filled(self, choice: Choice) -> Opened:
        opened = await self.opener.open(choice)
        try:
            await self._filled(opened)
        except BaseException:
            await opened.close()
            raise
        return opened

    async def _filled(self, opened: Opened) -> None:
        """Wait until the store reads from etcd itself."""
        ends = self.clock.monotonic() + START
        while opened.store.age is not None:
            if self.clock.monotonic() >= ends:
                raise Unavailable(opened.store.problem or "the database's members do not answer")
            await asyncio.sleep(PAUSE)


_MISFIT = {
    True: "the cluster's records are in an etcd of the site's own: name it in this head's configuration too "
    "([etcd] endpoints, ca, certificate), restart the agent, then join again",
    False: "this head's configuration names an etcd of the site's own ([etcd] endpoints), and the cluster uses "
    "another: remove that, restart the agent, then join again",
}

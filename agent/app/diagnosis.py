"""What the doctor looks at: the facts out of the rooms and the world, handed to the pure checks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

from agent import __version__, hostfiles
from agent.adapters.disk import Disk
from agent.adapters.identity.ends import authority_ends
from agent.config import Live
from agent.database.backups import Backups
from agent.diagnosis import certificates, clocks, database, disks, work
from agent.diagnosis import heads as heads_check
from agent.diagnosis.certificates import Bears, CertificateSeen
from agent.diagnosis.database import DatabaseSeen
from agent.diagnosis.doctor import Check, Doctor, Looked
from agent.diagnosis.finding import Finding
from agent.diagnosis.heads import HeadSeen
from agent.diagnosis.report import (
    BackupLine,
    CertificateLine,
    DatabaseLine,
    HeadLine,
    MembersLine,
    ScanLine,
    ServicesLine,
    StoreLine,
    Told,
)
from agent.errors import AgentError, Unavailable
from agent.files.collector import Collector
from agent.heads.beat import PROTOCOL, Beat
from agent.heads.directory import HeadDirectory
from agent.heads.identity import Identity
from agent.heads.liveness import Condition, State
from agent.heads.members import Members
from agent.loops import Loops
from agent.model import Head, Kind, rfc3339
from agent.ports import Clock, ClusterEngine, Dependency, Peers, Store, StoreEngine
from agent.records.shape import CLUSTER
from agent.services.supervisor import Supervisor
from agent.services.units import rows

ANSWER = 1.5
"""Seconds that another head has to answer; the whole check has two."""
_ROOM = "`cw-headctl files rm` moves what nothing refers to into the trash, `cw-headctl files empty-trash` frees it now"
_STATE = "make room on its disk: backups, and what lies beside the agent's files"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a diagnosis asks."""

    live: Live
    clock: Clock
    loops: Loops
    dependencies: Sequence[Dependency]
    store: Store
    engine: StoreEngine
    members: ClusterEngine
    roster: Callable[[], Members]
    directory: HeadDirectory
    last_beat: Callable[[str], Beat | None]
    peers: Peers
    identity: Callable[[], Identity]
    supervisor: Supervisor
    collector: Collector
    backups: Backups
    state_disk: Disk
    store_disk: Disk
    lost_lines: Callable[[], int]
    certificate_ends: Callable[[], Mapping[str, datetime]]
    """When the certificates end that other heads showed last."""


def doctor(around: Surroundings) -> Doctor:
    """The doctor of this head."""
    looks = _Looks(around)
    checks = [
        *(Check(one.name, looks.dependency(one)) for one in around.dependencies),
        Check("services", looks.services),
        Check("heads", looks.heads),
        Check("database", looks.database),
        Check("database members", looks.members),
        Check("certificates", looks.certificates),
        Check("disk", looks.store_disk),
        Check("disk", looks.state_disk),
        Check("backups", looks.backups),
        Check("static files", looks.static_files),
        Check("loops", looks.loops),
    ]
    return Doctor(checks, looks.about, around.clock)


class _Looks:
    """One method for each check; each gathers facts and judges nothing."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._uid = around.live.config.head.uid

    def about(self) -> Told:
        """Who this head is, as far as it is known without asking anybody."""
        told: Told = {"uid": self._uid, "description": "", "version": __version__}
        with contextlib.suppress(Unavailable):
            members = self._around.roster()
            own = members.heads.get(self._uid)
            told |= {"cluster": members.cluster, "description": own.description if own else ""}
        return told

    def dependency(self, one: Dependency) -> Callable[[], Awaitable[Looked]]:
        """A look at something that the agent depends on."""

        async def look() -> Looked:
            return Looked(work.dependencies({one.name: await one.problem()}))

        return look

    async def services(self) -> Looked:
        """The services, and whose healing is paused."""
        supervisor = self._around.supervisor
        if supervisor.problem is not None:
            return Looked([])  # the look at systemd tells of it
        services = rows(supervisor.units)
        paused = {unit.name for unit in supervisor.units if supervisor.healer.paused(unit.name)}
        up = sum(service.status == "up" for service in services)
        return Looked(work.services(services, paused), {"services": ServicesLine(up, len(services))})

    async def heads(self) -> Looked:
        """The other heads: states, links, clocks and versions."""
        around = self._around
        heads, outlook = around.roster().heads, around.directory.outlook()
        down = {uid for uid, condition in outlook.conditions.items() if condition.state is State.DOWN}
        asked = [uid for uid, head in heads.items() if head.url and uid != self._uid and uid not in down]
        ahead, refusals = await self._ask(asked)
        seen = [
            self._seen(uid, head, outlook.conditions.get(uid, Condition(State.UNKNOWN)), refusals.get(uid))
            for uid, head in heads.items()
        ]
        findings = [
            *heads_check.states(self._uid, seen, outlook.standing),
            *heads_check.hearing(self._uid, seen, around.live.config.heartbeat.timeout, PROTOCOL),
            *heads_check.versions(self._uid, seen, PROTOCOL),
            *clocks.clocks(self._uid, ahead),
            *self._others_certificates(set(asked) - refusals.keys()),
        ]
        lines = tuple(self._line(one, len(heads) - 1) for one in seen)
        return Looked(findings, {"heads": lines, "standing": outlook.standing, "verdict": outlook.verdict})

    def _others_certificates(self, answered: Collection[str]) -> list[Finding]:
        """Of those that have answered just now: what others showed may be long ago."""
        ends = {uid: until for uid, until in self._around.certificate_ends().items() if uid in answered}
        if not ends:
            return []
        return certificates.of_others(ends, self._around.identity().ca_ends, self._around.clock.now())

    def _line(self, seen: HeadSeen, others: int) -> HeadLine:
        timeout = self._around.live.config.heartbeat.timeout
        hear = sum(age < timeout for age in seen.heard_by.values())
        return HeadLine(seen.uid, seen.description, seen.state, hear, others, seen.version)

    def _seen(self, uid: str, head: Head, condition: Condition, refusal: str | None) -> HeadSeen:
        beat = self._around.last_beat(uid)
        return HeadSeen(
            uid,
            head.description,
            condition.state,
            condition.heard_by,
            (beat.version if beat else None) or head.version,
            beat.protocol if beat else None,
            agent=bool(head.url),
            refusal=refusal,
            up_for=_age(condition.since, self._around.clock.now()) if condition.since else None,
        )

    async def _ask(self, uids: Sequence[str]) -> tuple[dict[str, float], dict[str, str]]:
        """Ask these heads what anybody may: by how many seconds each clock is ahead, and why others did not answer."""
        ahead: dict[str, float] = {}
        refusals: dict[str, str] = {}

        async def ask(uid: str) -> None:
            asked = self._around.clock.now().timestamp()
            try:
                answer = await self._around.peers.ask(uid, "GET", "/healthz", timeout=ANSWER)
            except AgentError as err:
                refusals[uid] = err.reason
                return
            answered = self._around.clock.now().timestamp()
            if (date := _date(answer.headers)) is not None:
                ahead[uid] = clocks.ahead_by(date, asked, answered)

        async with asyncio.TaskGroup() as group:
            for uid in uids:
                group.create_task(ask(uid))
        return ahead, refusals

    async def database(self) -> Looked:
        """The database: read once, and measured."""
        around = self._around
        await around.store.get(Kind.CLUSTER, CLUSTER)
        adopted = around.engine.kind != "sqlite" and bool(around.live.config.etcd.endpoints)
        copy = None
        with contextlib.suppress(Unavailable):  # the look at that disk tells of it
            copy = await around.state_disk.copy(around.clock.now())
        seen = DatabaseSeen(around.engine.kind, await around.engine.size(), around.store.age, adopted, copy)
        line = DatabaseLine(seen.kind, seen.size, seen.age, seen.adopted)
        return Looked(database.database(seen), {"database": line})

    async def members(self) -> Looked:
        """The database's members, each asked how it is."""
        around = self._around
        if around.members.kind == "sqlite":
            return Looked([])
        adopted = bool(around.live.config.etcd.endpoints)
        found = await around.members.members()
        agents = [uid for uid, head in around.roster().heads.items() if head.url]
        voters = [member for member in found if member.voter]
        line = MembersLine(len(voters), sum(bool(member.healthy) for member in voters))
        findings = database.members(found, agents, self._uid, adopted=adopted)
        return Looked(findings, {} if adopted else {"members": line})

    async def certificates(self) -> Looked:
        """This head's certificate, its CA, and those that the heads' records name."""
        around, now = self._around, self._around.clock.now()
        identity = around.identity()
        seen = [
            CertificateSeen("this head", Bears.HEAD, identity.ends),
            CertificateSeen("this head", Bears.CA, identity.ca_ends),
        ]
        for uid, head in around.roster().heads.items():
            if uid != self._uid and head.ca_pem and (ends := authority_ends(head.ca_pem)) is not None:
                seen.append(CertificateSeen(uid, Bears.CA, ends))
        line = CertificateLine(rfc3339(identity.ends), (identity.ends - now).days)
        return Looked(certificates.certificates(seen, now), {"certificate": line})

    async def store_disk(self) -> Looked:
        """The file store's disk and its trash."""
        around, settings = self._around, self._around.live.config.files
        try:
            usage, trash = await around.store_disk.look(), await around.collector.trash.listing()
        except Unavailable:
            return Looked([])  # the look at the file store tells of it
        size = sum(file.size for file in trash)
        age = around.clock.now().timestamp() - trash[0].deleted / 1e9 if trash else 0.0
        findings = [
            *disks.disk("file store", usage, _ROOM, settings.trash_watermark),
            *disks.trash(len(trash), size, age, settings.trash_ttl),
        ]
        line = StoreLine(round(usage.used, 1), usage.free, len(trash), size, self._scan())
        return Looked(findings, {"store": line})

    def _scan(self) -> ScanLine | None:
        past = self._around.collector.surveys
        if past.ended is None:
            return None
        ago = self._around.clock.monotonic() - past.ended
        return ScanLine(past.scanned, past.unused, past.unused_bytes, round(ago, 1))

    async def state_disk(self) -> Looked:
        """The state directory's disk, and what engine changes have put aside there."""
        around = self._around
        usage = await around.state_disk.look()
        aside = await around.state_disk.aside(around.clock.now(), around.live.config.database.path.parent)
        return Looked([*disks.disk("state directory", usage, _STATE), *disks.leftovers(aside, usage)])

    async def backups(self) -> Looked:
        """The backups, as old as the newest."""
        kept, now = await self._around.backups.listing(), self._around.clock.now()
        with_agent = self._around.roster().heads.get(self._uid)
        there = _age(with_agent.joined, now) if with_agent and with_agent.joined else 0.0
        newest = kept[0] if kept else None
        findings = disks.backups(_age(newest.made, now) if newest else None, len(kept), there)
        line = BackupLine(newest.name, newest.made, newest.bytes) if newest else None
        return Looked(findings, {"backup": line})

    async def static_files(self) -> Looked:
        """Root's files that should follow the configuration."""
        config = self._around.live.config

        def read() -> list[str]:
            group = hostfiles.store_group(config.files.root)
            differing = hostfiles.differences(config, lambda path: path.read_text("utf-8"), group)
            return [f"{path.parent.name}/{path.name}" for path in differing]

        return Looked(work.static_files(await asyncio.to_thread(read)))

    async def loops(self) -> Looked:
        """The loops, and the lines that the journal did not take."""
        turning = work.loops(self._around.loops.all, self._around.clock.monotonic())
        return Looked([*turning, *work.lines(self._around.lost_lines())])


def _date(headers: Mapping[str, str]) -> float | None:
    """Seconds since 1970 of an answer's Date header; None without one that can be read."""
    given = next((value for name, value in headers.items() if name.lower() == "date"), None)
    try:
        return parsedate_to_datetime(given).timestamp() if given else None
    except ValueError:
        return None


def _age(moment: str, now: datetime) -> float:
    """Seconds since an RFC 3339 moment."""
    return (now - datetime.fromisoformat(moment)).total_seconds()

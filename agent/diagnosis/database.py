"""The database: how large and how fresh it is, and which members of it are missing. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from msgspec import Struct
from msgspec.structs import replace

from agent.diagnosis.finding import Finding, Level, amount, days, failed, ok, warning
from agent.ports import EngineMember

CHECK = "database members"
_SELF = "this head"
VOTERS = 5
"""The most members with a vote (see `agent.adapters.etcd.members`)."""
_QUOTA = 2 * 2**30
"""Bytes at which the agent's etcd takes no more writes."""
COPY_AGE = 3600.0
"""Seconds: it is written, or found to be the newest still, every ten, and of a large database every few minutes."""
_CLEAN = "give space back with `cw-headctl database clean`"
_JOURNAL = "look there with `journalctl -u clusterware-head-agent-etcd`"
_OWN_JOURNAL = "see `journalctl -u clusterware-head-agent -p warning`"
_RECOVER = "when they are gone for good, `cw-headctl database recover` on the one head to go on with"


class DatabaseSeen(Struct, frozen=True):
    """The database as this head sees it."""

    kind: str
    size: int
    """Bytes."""
    age: float | None
    """Seconds since what is read was the newest for certain; None while it is."""
    adopted: bool = False
    """Whether the etcd is the site's own."""
    copy: float | None = None
    """Seconds since this head's copy of etcd's records was known to be the newest; None where it has none."""


def database(seen: DatabaseSeen) -> list[Finding]:
    """Whether what is read is the newest, and whether there is room to write."""
    name = f"{seen.kind} of the site" if seen.adopted else seen.kind
    if seen.age is not None:
        detail = f"what is read is {days(seen.age)} old, and nothing can be written: no quorum"
        return [failed("database", name, detail, f"bring its members back; {_RECOVER}")]
    if seen.kind == "etcd" and not seen.adopted and seen.size > 0.8 * _QUOTA:
        detail = f"it has {amount(seen.size)}, and takes no more writes at {amount(_QUOTA)}"
        return [warning("database", name, detail, _CLEAN), *_copy(seen)]
    return [ok("database", name, f"it is read and written; {amount(seen.size)}"), *_copy(seen)]


def _copy(seen: DatabaseSeen) -> list[Finding]:
    """What is wrong with the copy, which is what a head knows that starts before the others do."""
    if seen.kind != "etcd" or seen.copy is None or seen.copy <= COPY_AGE:
        return []
    detail = f"it is {days(seen.copy)} old: from it this head would answer if it started while no member did"
    todo = f"make room on the disk of its state directory; {_OWN_JOURNAL} for why it is not written"
    return [warning("database", "copy on this head's disk", detail, todo)]


def members(
    found: Sequence[EngineMember], heads: Collection[str], self_uid: str, *, adopted: bool = False
) -> list[Finding]:
    """Who of etcd's members is missing, and how many more losses it bears.

    `heads`: the uids of those that run an agent.
    """
    if adopted:
        return [ok(CHECK, "etcd of the site", "its members are the site's business")]
    voters = [member for member in found if member.voter]
    removed = [member.head for member in voters if not (member.healthy or member.head in heads)]
    quorum = len(voters) // 2 + 1
    well = [member for member in voters if member.healthy]
    missing = [_name(member.head, self_uid) for member in voters if not member.healthy]
    findings = [_judged(voters, well, missing, quorum)]
    if len(well) >= quorum and removed and len(removed) == len(missing):
        todo = f"wait: the agents dismiss the member of a removed head within a minute; if it stays so, {_OWN_JOURNAL}"
        findings = [replace(findings[0], todo=todo)]
    findings += [_learner(member, self_uid) for member in found if not member.voter]
    lacking = sorted(set(heads) - {member.head for member in found})
    if len(voters) < VOTERS and lacking and len(voters) == len(found):
        names = ", ".join(_name(uid, self_uid) for uid in lacking)
        todo = "wait a minute: the agents give each head a member; if it stays so, see its journal"
        findings.append(warning(CHECK, names, "has no member of the database yet", todo))
    return findings


def of_one_cause(findings: Sequence[Finding]) -> list[Finding]:
    """What fails for want of the database's quorum alone told once, together with the members that are missing."""
    for_want = [finding for finding in findings if _lacks_quorum(finding)]
    lost = next((finding for finding in for_want if finding.check == "database"), None)
    if lost is None:
        return list(findings)
    lost = next((finding for finding in for_want if finding.subject != _SELF and finding.check == "database"), lost)
    told = lost
    for finding in for_want:
        if finding.check == CHECK:
            told = replace(lost, detail=f"{lost.detail}; no answer from {finding.subject}", todo=finding.todo)
    rest = [finding for finding in findings if finding is lost or finding not in for_want]
    return [told if finding is lost else finding for finding in rest]


def _lacks_quorum(finding: Finding) -> bool:
    if finding.check == CHECK:
        return finding.level is Level.FAILED
    about = finding.check == "database" or finding.subject == _SELF
    return about and finding.level is not Level.OK and "quorum" in finding.detail


def _judged(voters: Sequence[EngineMember], well: Sequence[EngineMember], missing: list[str], quorum: int) -> Finding:
    count = f"{len(well)} of {len(voters)} members answer"
    if len(well) < quorum:
        detail = f"{count}, and {quorum} must: nothing can be written"
        return failed(CHECK, ", ".join(missing) or "etcd", detail, f"bring them back ({_JOURNAL}); {_RECOVER}")
    bears = len(well) - quorum
    losses = f"it bears {'no further loss' if missing else 'no loss'}" if not bears else f"it bears {bears} more"
    if missing:
        todo = f"{_JOURNAL}; a head that is gone for good is removed with `cw-headctl heads evict`"
        return warning(CHECK, ", ".join(missing), f"{count}; {losses}", todo)
    if len(voters) == 2:
        todo = "have a third head join: `cw-headctl token --join` prints how"
        return warning(CHECK, "etcd", f"{count}; two bear no loss", todo)
    if len(voters) == 1:
        return ok(CHECK, "etcd", "the one member answers; it bears no loss")
    return ok(CHECK, "etcd", f"{count}; it bears the loss of {bears}")


def _learner(member: EngineMember, self_uid: str) -> Finding:
    detail = "its member has no vote yet: it is catching up" + ("" if member.healthy else ", and does not answer")
    todo = f"wait a minute; if it stays so, {_JOURNAL}"
    return warning(CHECK, _name(member.head, self_uid), detail, todo)


def _name(uid: str, self_uid: str) -> str:
    return _SELF if uid == self_uid else uid

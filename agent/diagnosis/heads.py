"""The other heads: up or not, heard by all or by some, and of which version. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from msgspec import Struct

from agent.diagnosis.finding import Finding, failed, ok, warning

_VERSION = re.compile(r"(\d+)\.(\d+)")
_LOOK = "look there with `systemctl status clusterware-head-agent`"
_UPGRADE = "end the upgrade: install the same version on all heads, one after the other"
_EVICT = "a head that is gone for good is removed with `cw-headctl heads evict`"


class HeadSeen(Struct, frozen=True):
    """One head of the cluster as this head sees it."""

    uid: str
    description: str
    state: str
    heard_by: Mapping[str, float]
    """How many seconds ago each head heard it."""
    version: str | None = None
    protocol: int | None = None
    """Of its heartbeat, None where none has come."""
    agent: bool = True
    """Whether its record has the url of an agent; one without was registered by hand."""
    refusal: str | None = None
    """Why it did not answer when it was asked just now."""
    up_for: float | None = None
    """Seconds since it came up, as far as is known."""


def states(self_uid: str, heads: Sequence[HeadSeen], standing: str) -> list[Finding]:
    """Which heads are not up."""
    found = []
    if standing == "minority":
        detail = "this head hears too few of the others to judge them: it may itself be the one that is cut off"
        found.append(failed("heads", "this head", detail, "look at its network: `ip -s link`, then the other heads"))
    for head in heads:
        if head.uid == self_uid or head.state == "up":
            continue
        if not head.agent:
            detail = "it was registered by hand: its record has no agent's url, so nobody can tell how it is"
            todo = "start an agent there and have it join, or remove it with `cw-headctl heads evict`"
            found.append(warning("heads", head.uid, detail, todo))
        elif head.state == "down":
            found.append(failed("heads", head.uid, "it is down: no head hears it", f"{_LOOK}; {_EVICT}"))
        else:
            found.append(warning("heads", head.uid, f"its state is {head.state}", f"{_LOOK}, or wait for the verdict"))
    up = sum(head.state == "up" for head in heads)
    return found or [ok("heads", "all heads", f"{up} of {len(heads)} up")]


def hearing(self_uid: str, heads: Sequence[HeadSeen], timeout: float, protocol: int) -> list[Finding]:
    """Which heads that are up do not hear each other, or do not answer this one; `timeout` is the heartbeat's.

    Those that have just come up are given half of it to find each other; whom those hear that speak a newer
    `protocol` than this one's cannot be read.
    """
    up = {head.uid: head for head in heads if head.state == "up" and head.agent and not _is_new(head, timeout / 2)}
    telling = [uid for uid, head in sorted(up.items()) if head.protocol is None or head.protocol <= protocol]
    found = []
    for uid, head in sorted(up.items()):
        deaf = [other for other in telling if other != uid and head.heard_by.get(other, timeout) >= timeout]
        if deaf:
            names = ", ".join("this head" if other == self_uid else other for other in deaf)
            detail = f"it is up, and not heard by {names}"
            todo = f"look at the network between them: port 52390 of {uid} must be reached from there"
            found.append(warning("links", "this head" if uid == self_uid else uid, detail, todo))
        elif head.refusal is not None:
            todo = f"{_LOOK}, and at the firewall before port 52390"
            found.append(warning("links", uid, f"it beats, and did not answer this head: {head.refusal}", todo))
    return found or [ok("links", "all heads", "all heads that are up hear each other")]


def _is_new(head: HeadSeen, patience: float) -> bool:
    return head.up_for is not None and 0 <= head.up_for < patience


def versions(self_uid: str, heads: Sequence[HeadSeen], protocol: int) -> list[Finding]:
    """Which heads run another version than this one; neighbouring versions work together, others need not."""
    own = next((head.version for head in heads if head.uid == self_uid), None)
    found = []
    for head in heads:
        if head.uid == self_uid:
            continue
        if head.protocol not in (None, protocol):
            detail = (
                f"it speaks protocol {head.protocol} of the heartbeat, and this head {protocol}: what both know counts"
            )
            found.append(warning("versions", head.uid, detail, _UPGRADE))
        elif own and head.version and head.version != own:
            detail = f"it runs version {head.version}, and this head {own}"
            if _neighbours(own, head.version):
                found.append(warning("versions", head.uid, f"{detail}, which work together", _UPGRADE))
            else:
                found.append(failed("versions", head.uid, f"{detail}; only neighbouring ones work together", _UPGRADE))
    return found or [ok("versions", "all heads", f"version {own or 'not known'}, protocol {protocol}")]


def _neighbours(one: str, other: str) -> bool:
    """Whether two versions differ by one minor step at most, within one major version."""
    found = _VERSION.match(one), _VERSION.match(other)
    if found[0] is None or found[1] is None:
        return False
    (major, minor), (their_major, their_minor) = ([int(part) for part in match.groups()] for match in found if match)
    return major == their_major and abs(minor - their_minor) <= 1

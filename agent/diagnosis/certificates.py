"""Certificates: how long each has to go. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from agent.diagnosis.finding import Finding, Level, days, failed, ok, warning

CHECK = "certificates"
DAY = 86400.0
_ROTATE = "exchange it on all heads with `cw-headctl ca rotate`"
_JOURNAL = "`journalctl -u clusterware-head-agent -p warning` there tells what keeps it from being renewed"


class Bears(StrEnum):
    """What a certificate is."""

    HEAD = "certificate"
    CA = "CA"


class CertificateSeen(Struct, frozen=True):
    """A certificate of this head, or one that a head's record names."""

    owner: str
    """`this head`, or a uid."""
    bears: Bears
    until: datetime


LIMITS = {Bears.HEAD: (25 * DAY, 7 * DAY), Bears.CA: (180 * DAY, 30 * DAY)}
"""Seconds before the end from which it is a warning, and a failure. A head's is renewed 30 days before its end, so
one with fewer was not; a CA is exchanged by people only."""


def certificates(seen: Sequence[CertificateSeen], now: datetime) -> list[Finding]:
    """Which are near their end, or over; one end is told once, with all whom it concerns."""
    found = []
    last = min((one.until for one in seen if one.bears is Bears.CA), default=None)
    everybody = {one.owner for one in seen if one.bears is Bears.CA}
    for bears, until in dict.fromkeys((one.bears, one.until) for one in seen):
        owners = dict.fromkeys(one.owner for one in seen if (one.bears, one.until) == (bears, until))
        shared = bears is Bears.CA and owners.keys() == everybody
        subject = f"{bears} of {'the cluster' if shared else ', '.join(owners)}"
        left = (until - now).total_seconds()
        early, late = LIMITS[bears]
        todo = _ROTATE if bears is Bears.CA else _JOURNAL
        if bears is Bears.HEAD and last is not None and until >= last:
            todo = "renewed, it would end with the CA all the same: `cw-headctl ca rotate`"
        if left <= 0:
            detail = f"it ended {days(-left)} ago: the heads refuse each other"
            found.append(failed(CHECK, subject, detail, todo))
        elif left < late:
            found.append(failed(CHECK, subject, f"it ends in {days(left)}; then the heads refuse each other", todo))
        elif left < early:
            found.append(warning(CHECK, subject, f"it ends in {days(left)}", todo))
        else:
            found.append(ok(CHECK, subject, f"good for {days(left)}"))
    return found


def of_others(ends: Mapping[str, datetime], ca_ends: datetime, now: datetime) -> list[Finding]:
    """Which other heads' certificates are near their end, as they showed them; those that are not need no word."""
    seen = [CertificateSeen(uid, Bears.HEAD, until) for uid, until in ends.items()]
    found = certificates([*seen, CertificateSeen("this head", Bears.CA, ca_ends)], now)
    return [one for one in found if one.level is not Level.OK and one.subject.startswith(Bears.HEAD)]

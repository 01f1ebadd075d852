"""The list of heads where each head keeps its own: what is compared, and how two lists become one. Pure.

Of each head a list holds its record or, once it is gone, its tombstone. Everything about a head is ordered: the higher
generation wins, then a tombstone, then the higher edition, then the greater text. So lists that heads merge in any
order, and any number of times, end up the same, and an old record of a removed head never brings it back.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct

from agent.model import UID_PATTERN, Head, Record, Tombstone

Roster = Mapping[str, "Entry"]

CLOCKS = timedelta(days=1)
"""How far ahead of this head's another's clock may be."""
NESTED = 16
"""Levels of lists and objects in what is said of a head, at most: what is nested deeply enough to be read only just
cannot be read again by who is deeper in calls himself. No agent writes more than two."""
_UID = re.compile(UID_PATTERN)
_encode = msgspec.json.Encoder(order="deterministic").encode


class Entry(Struct, frozen=True):
    """What a list says of one head: `body` is its record's or, when `gone`, its tombstone's."""

    gone: bool
    body: dict[str, Any]

    @property
    def rank(self) -> tuple[int, bool, int, bytes]:
        """Greater is newer; equal for equal entries only."""
        generation, edition = self.body.get("generation", 1), self.body.get("edition", 0)
        return _count(generation), self.gone, _count(edition), _encode(self.body)


class Listing(Struct, frozen=True):
    """A list as it is sent: bodies by uid, those of records and those of tombstones."""

    cluster: str
    heads: dict[str, dict[str, Any]]
    tombstones: dict[str, dict[str, Any]]


def of_records(heads: Iterable[Record], tombstones: Iterable[Record]) -> dict[str, Entry]:
    """The list that a store holds; where it has both for a head, the newer counts."""
    told = {record.uid: Entry(gone=True, body=record.body) for record in tombstones}
    return merged(told, {record.uid: Entry(gone=False, body=record.body) for record in heads})


def of_listing(listing: Listing, now: datetime) -> dict[str, Entry]:
    """The list that another head sent, without what cannot be read, and without heads that are gone only after `now`.

    Such a tombstone would never be forgotten.
    """
    told = {
        uid: Entry(gone=True, body=body)
        for uid, body in listing.tombstones.items()
        if _is(body, Tombstone, uid) and _is_past(body["at"], now)
    }
    heads = {uid: Entry(gone=False, body=body) for uid, body in listing.heads.items() if _is(body, Head, uid)}
    return merged(told, heads)


def _is(body: dict[str, Any], shape: type[Head] | type[Tombstone], uid: str) -> bool:
    try:
        msgspec.convert(body, shape)
    except msgspec.ValidationError:
        return False
    return _UID.fullmatch(uid) is not None and _is_shallow(body, NESTED)


def _is_shallow(value: object, most: int) -> bool:
    """Whether it has no more levels than that."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return inside is None or (most > 0 and all(_is_shallow(one, most - 1) for one in inside))


def _is_past(at: str, now: datetime) -> bool:
    try:
        return datetime.fromisoformat(at) <= now + CLOCKS
    except (ValueError, TypeError):  # no moment, or one without a time zone
        return False


def credible(theirs: Roster, ours: Roster) -> dict[str, Entry]:
    """Another head's list, with generations of the gone as they can be: one more than what is known here, at most.

    A greater one would keep a head from ever joining again; so the removal counts, and the number does not.
    """
    return {uid: _bounded(entry, ours.get(uid)) for uid, entry in theirs.items()}


def _bounded(entry: Entry, known: Entry | None) -> Entry:
    if known is None or not entry.gone:
        return entry
    most = known.rank[0] + 1
    if entry.rank[0] <= most:
        return entry
    return known if known.gone else Entry(gone=True, body={**entry.body, "generation": most})


def _count(value: object) -> int:
    """A number that decides; what is none, in a record that cannot be read, decides nothing."""
    return value if isinstance(value, int) else 0


def listing(cluster: str, heads: Iterable[Record], tombstones: Iterable[Record]) -> Listing:
    """What a store holds, as it is sent."""
    return Listing(cluster, {r.uid: r.body for r in heads}, {r.uid: r.body for r in tombstones})


def merged(one: Roster, other: Roster) -> dict[str, Entry]:
    """What both lists together say: of each head the newer entry."""
    result = dict(one)
    for uid, entry in other.items():
        if uid not in result or entry.rank > result[uid].rank:
            result[uid] = entry
    return result


def digest(heads: Iterable[Record], tombstones: Iterable[Record]) -> str:
    """Sixteen hexadecimal digits that are the same for equal lists, and for no others that one will meet."""
    entries = of_records(heads, tombstones)
    text = _encode([(uid, entries[uid].gone, entries[uid].body) for uid in sorted(entries)])
    return hashlib.blake2b(text, digest_size=8).hexdigest()

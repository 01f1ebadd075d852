"""Two lists of heads become one: the same, however they meet."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.heads.gossip import changes
from agent.heads.roster import NESTED, Entry, Listing, credible, digest, merged, of_listing, of_records
from agent.model import MOST, Kind, Record
from agent.ports import Delete, Put
from tests.support.people import ME, OTHER, PEER, SOME_KEY

AT = "2030-05-01T12:00:00.000Z"
NOW = datetime.fromisoformat(AT)


def record(generation: int = 1, edition: int = 0, **fields: Any) -> Entry:
    """A head that is in the cluster."""
    return Entry(gone=False, body={"ssh_public": SOME_KEY, "generation": generation, "edition": edition, **fields})


def tombstone(generation: int = 1, departure: str = "removed", at: str = AT) -> Entry:
    """A head that is gone."""
    return Entry(gone=True, body={"departure": departure, "at": at, "generation": generation})


def stored(uid: str, entry: Entry, revision: int = 1) -> Record:
    """An entry in a store."""
    return Record(Kind.TOMBSTONE if entry.gone else Kind.HEAD, uid, revision, entry.body)


_small = st.integers(1, 3)
_entries = st.one_of(
    st.builds(record, _small, _small, description=st.sampled_from(["a", "b"])),
    st.builds(tombstone, _small, st.sampled_from(["removed", "left"])),
)
_lists = st.dictionaries(st.sampled_from([ME, PEER, OTHER]), _entries)


@given(_lists, _lists)
def test_it_does_not_matter_who_asks_whom(one: dict[str, Entry], other: dict[str, Entry]) -> None:
    assert merged(one, other) == merged(other, one)


@given(_lists, _lists, _lists)
def test_it_does_not_matter_who_asks_first(
    one: dict[str, Entry], two: dict[str, Entry], three: dict[str, Entry]
) -> None:
    assert merged(merged(one, two), three) == merged(one, merged(two, three))


@given(_lists, _lists)
def test_asking_twice_changes_nothing(one: dict[str, Entry], other: dict[str, Entry]) -> None:
    once = merged(one, other)
    assert merged(once, other) == merged(once, once) == once


@given(_lists, st.lists(_lists))
def test_no_old_record_of_a_removed_head_ever_brings_it_back(
    mine: dict[str, Entry], theirs: list[dict[str, Entry]]
) -> None:
    result = merged(mine, {PEER: tombstone(3)})
    for other in theirs:
        result = merged(result, other)
        assert result[PEER].gone


@given(st.lists(_lists))
def test_a_head_that_has_joined_again_stays(theirs: list[dict[str, Entry]]) -> None:
    result = {PEER: record(4)}
    for other in theirs:
        result = merged(other, result)
        assert not result[PEER].gone


def test_a_later_change_wins_and_a_removal_wins_over_any_change() -> None:
    assert merged({PEER: record(1, 5)}, {PEER: record(1, 6)}) == {PEER: record(1, 6)}
    assert merged({PEER: record(1, 7)}, {PEER: tombstone(1)}) == {PEER: tombstone(1)}
    assert merged({PEER: tombstone(1)}, {PEER: record(2)}) == {PEER: record(2)}


@given(_lists, _lists)
def test_equal_lists_have_equal_digests_and_others_have_not(one: dict[str, Entry], other: dict[str, Entry]) -> None:
    def said(entries: dict[str, Entry], revision: int) -> str:
        records = [stored(uid, entry, revision) for uid, entry in entries.items()]
        return digest([r for r in records if r.kind is Kind.HEAD], [r for r in records if r.kind is Kind.TOMBSTONE])

    assert (said(one, 1) == said(other, 2)) is (one == other)


@given(_lists, _lists)
def test_what_is_written_makes_the_store_hold_the_merged_list(one: dict[str, Entry], other: dict[str, Entry]) -> None:
    held = {(r.kind, r.uid): r for r in (stored(uid, entry) for uid, entry in one.items())}
    heads = [r for r in held.values() if r.kind is Kind.HEAD]
    tombstones = [r for r in held.values() if r.kind is Kind.TOMBSTONE]
    for change in changes(heads, tombstones, other):
        present = held.get((change.kind, change.uid))
        assert change.expect == (present.revision if present else 0)
        match change:
            case Delete():
                del held[change.kind, change.uid]
            case Put():
                held[change.kind, change.uid] = Record(change.kind, change.uid, 2, change.body)
    assert {uid: Entry(gone=kind is Kind.TOMBSTONE, body=r.body) for (kind, uid), r in held.items()} == merged(
        one, other
    )


def test_a_store_that_has_both_of_a_head_is_put_right() -> None:
    head, dead = stored(PEER, record(1)), stored(PEER, tombstone(1), 2)
    assert of_records([head], [dead]) == {PEER: tombstone(1)}
    assert changes([head], [dead], {}) == [Delete(Kind.HEAD, PEER, 1)]


def test_what_cannot_be_read_is_left_out_of_another_heads_list() -> None:
    sound, broken = record().body, {"ssh_public": 7}
    endless = int("9" * 4300)
    told = Listing("c", {PEER: sound, OTHER: broken, "../etc": sound}, {ME: {"departure": "evaporated"}})
    assert of_listing(told, NOW) == {PEER: record()}
    for field in ("generation", "edition"):
        assert of_listing(Listing("c", {PEER: {**sound, field: endless}}, {}), NOW) == {}
    assert of_listing(Listing("c", {}, {PEER: {**tombstone(1).body, "generation": endless}}), NOW) == {}


@pytest.mark.parametrize(
    ("at", "believed"),
    [
        ("2030-05-02T11:59:59.000Z", True),
        ("2030-05-02T12:00:01.000Z", False),
        ("9999-12-31T23:59:59.999Z", False),
        ("2030-05-01T12:00:00.000", False),
        ("soon", False),
        ("z" * 10**6, False),
    ],
)
def test_a_head_that_is_gone_only_tomorrow_or_at_no_moment_is_not_gone(at: str, *, believed: bool) -> None:
    told = Listing("c", {}, {PEER: tombstone(at=at).body})
    assert (PEER in of_listing(told, NOW)) is believed


@pytest.mark.parametrize(
    ("known", "told", "taken"),
    [
        (record(2), tombstone(3), tombstone(3)),
        (record(2), tombstone(MOST), tombstone(3)),
        (tombstone(2), tombstone(3), tombstone(3)),
        (tombstone(2), tombstone(MOST), tombstone(2)),
        (record(2), record(9), record(9)),
        (None, tombstone(9), tombstone(9)),
    ],
)
def test_a_removal_counts_and_a_generation_that_leaves_none_to_come_back_with_does_not(
    known: Entry | None, told: Entry, taken: Entry
) -> None:
    assert credible({PEER: told}, {PEER: known} if known else {}) == {PEER: taken}


def test_a_damaged_record_of_ones_own_decides_nothing_and_hurts_nothing() -> None:
    damaged = Record(Kind.HEAD, PEER, 1, {"generation": "many", "edition": None})
    assert of_records([damaged], [stored(PEER, tombstone(1))]) == {PEER: tombstone(1)}
    assert len(digest([damaged], [])) == 16


@pytest.mark.parametrize(("levels", "taken"), [(NESTED - 1, True), (NESTED, False), (900, False)])
def test_what_is_nested_so_deeply_that_it_might_not_be_read_again_is_not_taken(levels: int, *, taken: bool) -> None:
    deep: Any = 1
    for level in range(levels):
        deep = [deep] if level % 2 else {"a": deep}
    told = Listing("c", {PEER: {**record().body, "later": deep}, OTHER: record().body}, {})
    assert (PEER in of_listing(told, NOW)) is taken
    assert OTHER in of_listing(told, NOW)

"""What every `Store` and `StoreEngine` does: subclass it with a `store` fixture (and `path` for backups)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol

import pytest

from agent.errors import Conflict, Invalid, NotFound, Stale
from agent.model import OBJECT_KINDS, Kind, Record
from agent.ports import ABSENT, Delete, Put, Store, StoreEngine

A, B, C = "a" * 32, "b" * 32, "c" * 32


class WholeStore(Store, StoreEngine, Protocol):
    """Both ports: what the embedded engine implements."""


class StoreContract:
    """Records: reads, compare-and-set, names, references, notifications."""

    async def test_what_was_put_is_read_back(self, store: WholeStore) -> None:
        body = {"name": "rocky9", "deep": {"list": [1, 2.5, None, True, "ü\u0000"]}}
        revision = await store.commit(Put(Kind.IMAGE, A, body, "rocky9"))
        assert await store.get(Kind.IMAGE, A) == Record(Kind.IMAGE, A, revision, body, "rocky9")

    async def test_what_is_not_there_is_none(self, store: WholeStore) -> None:
        await store.commit(Put(Kind.IMAGE, A, {}, "x"))
        assert await store.get(Kind.IMAGE, B) is None
        assert await store.get(Kind.REPO, A) is None
        assert await store.find(Kind.REPO, "x") is None
        assert await store.find(Kind.IMAGE, "X") is None
        assert await store.records(Kind.HEAD) == []

    async def test_records_of_a_kind_come_sorted_by_uid(self, store: WholeStore) -> None:
        for uid in (C, A, B):
            await store.commit(Put(Kind.HEAD, uid, {}))
        await store.commit(Put(Kind.REPO, A, {}))
        assert [r.uid for r in await store.records(Kind.HEAD)] == [A, B, C]

    async def test_a_record_is_found_by_its_present_name_only(self, store: WholeStore) -> None:
        await store.commit(Put(Kind.IMAGE, A, {}, "old"))
        await store.commit(Put(Kind.IMAGE, A, {}, "new"))
        found = await store.find(Kind.IMAGE, "new")
        assert found is not None
        assert found.uid == A
        assert await store.find(Kind.IMAGE, "old") is None

    async def test_changing_what_was_read_does_not_change_the_store(self, store: WholeStore) -> None:
        await store.commit(Put(Kind.IMAGE, A, {"list": [1]}))
        record = await store.get(Kind.IMAGE, A)
        assert record is not None
        record.body["list"].append(2)
        again = await store.get(Kind.IMAGE, A)
        assert again is not None
        assert again.body == {"list": [1]}

    async def test_revisions_grow_over_all_kinds(self, store: WholeStore) -> None:
        revisions = [
            await store.commit(Put(Kind.IMAGE, A, {})),
            await store.commit(Put(Kind.HEAD, A, {})),
            await store.commit(Delete(Kind.IMAGE, A)),
            await store.commit(Put(Kind.IMAGE, A, {})),
        ]
        assert revisions == sorted(set(revisions))
        assert revisions[0] > ABSENT

    async def test_creating_over_something_is_a_conflict(self, store: WholeStore) -> None:
        await store.commit(Put(Kind.IMAGE, A, {"v": 1}, expect=ABSENT))
        with pytest.raises(Conflict) as refused:
            await store.commit(Put(Kind.IMAGE, A, {"v": 2}, expect=ABSENT))
        assert refused.value.code == "exists"

    async def test_a_name_is_unique_within_its_kind(self, store: WholeStore) -> None:
        await store.commit(Put(Kind.IMAGE, A, {}, "x"))
        await store.commit(Put(Kind.REPO, A, {}, "x"))
        with pytest.raises(Conflict) as refused:
            await store.commit(Put(Kind.IMAGE, B, {}, "x"))
        assert refused.value.code == "name-taken"
        await store.commit(Put(Kind.HEAD, A, {}), Put(Kind.HEAD, B, {}))

    async def test_a_name_set_free_in_the_same_commit_can_be_taken(self, store: WholeStore) -> None:
        await store.commit(Put(Kind.IMAGE, A, {}, "x"))
        await store.commit(Delete(Kind.IMAGE, A), Put(Kind.IMAGE, B, {}, "x", expect=ABSENT))
        found = await store.find(Kind.IMAGE, "x")
        assert found is not None
        assert found.uid == B

    async def test_an_old_revision_is_stale(self, store: WholeStore) -> None:
        old = await store.commit(Put(Kind.IMAGE, A, {"v": 1}))
        new = await store.commit(Put(Kind.IMAGE, A, {"v": 2}, expect=old))
        with pytest.raises(Stale):
            await store.commit(Put(Kind.IMAGE, A, {"v": 3}, expect=old))
        with pytest.raises(Stale):
            await store.commit(Delete(Kind.IMAGE, A, expect=old))
        assert await store.get(Kind.IMAGE, A) == Record(Kind.IMAGE, A, new, {"v": 2})

    async def test_what_is_not_there_can_be_neither_compared_nor_deleted(self, store: WholeStore) -> None:
        with pytest.raises(NotFound):
            await store.commit(Put(Kind.IMAGE, A, {}, expect=7))
        with pytest.raises(NotFound):
            await store.commit(Delete(Kind.IMAGE, A))
        with pytest.raises(NotFound):
            await store.commit(Delete(Kind.IMAGE, A, expect=7))

    async def test_a_commit_is_all_or_nothing(self, store: WholeStore) -> None:
        before = await store.commit(Put(Kind.IMAGE, A, {"v": 1}, "a", references=["keep"]))
        with pytest.raises(NotFound):
            await store.commit(
                Put(Kind.IMAGE, A, {"v": 2}, "b", references=["drop"]),
                Put(Kind.IMAGE, B, {}, "a"),
                Delete(Kind.HEAD, C),
            )
        assert await store.get(Kind.IMAGE, A) == Record(Kind.IMAGE, A, before, {"v": 1}, "a")
        assert await store.get(Kind.IMAGE, B) is None
        assert await store.references("", 10) == ["keep"]

    async def test_an_empty_commit_changes_nothing(self, store: WholeStore) -> None:
        revision = await store.commit(Put(Kind.IMAGE, A, {}))
        assert await store.commit() == revision

    async def test_racing_commits_on_one_revision_have_one_winner(self, store: WholeStore) -> None:
        revision = await store.commit(Put(Kind.IMAGE, A, {"v": 0}))
        racers = [store.commit(Put(Kind.IMAGE, A, {"v": n}, expect=revision)) for n in range(1, 9)]
        outcomes = await asyncio.gather(*racers, return_exceptions=True)
        winners = [o for o in outcomes if isinstance(o, int)]
        assert len(winners) == 1
        assert all(isinstance(o, Stale) for o in outcomes if not isinstance(o, int))
        record = await store.get(Kind.IMAGE, A)
        assert record is not None
        assert record.revision == winners[0]

    async def test_references_follow_their_records(self, store: WholeStore) -> None:
        await store.commit(Put(Kind.IMAGE, A, {}, references=["x", "y"]), Put(Kind.REPO, B, {}, references=["y"]))
        assert await store.references("", 10) == ["x", "y"]
        await store.commit(Put(Kind.IMAGE, A, {}, references=["z", "z"]))
        assert await store.references("", 10) == ["y", "z"]
        await store.commit(Delete(Kind.REPO, B))
        assert await store.references("", 10) == ["z"]

    async def test_references_come_in_walk_order_batch_by_batch(self, store: WholeStore) -> None:
        names = ["a.b", "a/b", "a/b/c", "a b", "a", "ab", "é", "\U0001f600", "\uffee", "A"]
        walked = ["A", "a", "a/b", "a/b/c", "a b", "a.b", "ab", "é", "\uffee", "\U0001f600"]
        await store.commit(Put(Kind.IMAGE, A, {}, references=names[:5]), Put(Kind.IMAGE, B, {}, references=names[4:]))
        assert await store.references("", 100) == walked
        read: list[str] = []
        while batch := await store.references(read[-1] if read else "", 3):
            assert len(batch) <= 3
            read += batch
        assert read == walked

    async def test_a_batch_of_references_is_full_unless_it_is_the_last(self, store: WholeStore) -> None:
        names = [f"f{n}" for n in range(10)]
        for uid in (A, B, C):
            await store.commit(Put(Kind.IMAGE, uid, {}, references=names))
        for limit in range(1, 12):
            assert await store.references("", limit) == names[:limit]

    async def test_each_commit_tells_which_kinds_it_touched(self, store: WholeStore) -> None:
        told: list[frozenset[Kind]] = []
        store.on_change(told.append)
        await store.commit(Put(Kind.IMAGE, A, {}), Put(Kind.HEAD, A, {}))
        await store.commit(Delete(Kind.IMAGE, A))
        with pytest.raises(NotFound):
            await store.commit(Delete(Kind.IMAGE, A))
        assert told == [frozenset({Kind.IMAGE, Kind.HEAD}), frozenset({Kind.IMAGE})]


class StoreEngineContract:
    """Checks, sizes, backups and restores."""

    async def test_a_sound_store_has_nothing_wrong(self, store: WholeStore) -> None:
        assert store.problem is None
        assert await store.check() == []
        assert await store.size() > 0

    async def test_a_backup_brings_back_what_was_there(self, store: WholeStore, tmp_path: Path) -> None:
        await store.commit(Put(Kind.IMAGE, A, {"v": 1}, "x", references=["f/1", "g"]))
        needed = await store.backup_size()
        size = await store.backup(tmp_path / "backup")
        assert size <= needed
        assert size == (tmp_path / "backup").stat().st_size
        await store.commit(Put(Kind.IMAGE, A, {"v": 2}, "y"), Put(Kind.REPO, B, {}))
        last = await store.commit(Delete(Kind.REPO, B))
        aside = await store.restore(tmp_path / "backup")
        assert aside.exists()
        record = await store.find(Kind.IMAGE, "x")
        assert record is not None
        assert record.body == {"v": 1}
        assert await store.references("", 10) == ["f/1", "g"]
        assert await store.commit(Put(Kind.REPO, C, {})) > last

    async def test_a_restore_can_leave_other_kinds_as_they_are(self, store: WholeStore, tmp_path: Path) -> None:
        await store.commit(Put(Kind.CLUSTER, "cluster", {"id": "ours"}))
        await store.commit(Put(Kind.HEAD, A, {"v": 1}), Put(Kind.HEAD, B, {}), Put(Kind.IMAGE, A, {}, references=["f"]))
        await store.backup(tmp_path / "backup")
        await store.commit(
            Put(Kind.HEAD, A, {"v": 2}, references=["h"]),
            Delete(Kind.HEAD, B),
            Put(Kind.TOMBSTONE, B, {}),
            Delete(Kind.IMAGE, A),
            Put(Kind.IMAGE, C, {}, references=["g"]),
        )
        await store.restore(tmp_path / "backup", OBJECT_KINDS)
        assert [(record.uid, record.body) for record in await store.records(Kind.HEAD)] == [(A, {"v": 2})]
        assert [record.uid for record in await store.records(Kind.TOMBSTONE)] == [B]
        assert [record.uid for record in await store.records(Kind.IMAGE)] == [A]
        assert await store.references("", 10) == ["f", "h"]
        assert await store.check() == []
        head = await store.get(Kind.HEAD, A)
        assert head is not None
        await store.commit(Put(Kind.HEAD, A, {"v": 3}, expect=head.revision))

    async def test_a_restore_tells_of_every_kind(self, store: WholeStore, tmp_path: Path) -> None:
        await store.backup(tmp_path / "backup")
        told: set[Kind] = set()
        store.on_change(told.update)
        await store.restore(tmp_path / "backup")
        assert told == set(Kind)

    async def test_a_backup_never_overwrites(self, store: WholeStore, tmp_path: Path) -> None:
        (tmp_path / "backup").write_text("mine")
        with pytest.raises(Conflict):
            await store.backup(tmp_path / "backup")
        assert (tmp_path / "backup").read_text() == "mine"

    async def test_what_is_no_backup_is_refused_and_nothing_changes(self, store: WholeStore, tmp_path: Path) -> None:
        await store.commit(Put(Kind.IMAGE, A, {"v": 1}))
        (tmp_path / "garbage").write_bytes(b"not a database" * 1000)
        for source in (tmp_path / "garbage", tmp_path / "missing", tmp_path):
            with pytest.raises(Invalid):
                await store.restore(source)
        assert await store.get(Kind.IMAGE, A) is not None
        assert store.problem is None

    async def test_there_is_no_unknown_reclaiming(self, store: WholeStore) -> None:
        with pytest.raises(NotFound):
            await store.reclaim("polish")

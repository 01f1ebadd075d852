"""Archives: any store's records in one SQLite file that the embedded engine understands too."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.adapters.sqlite import archive
from agent.adapters.sqlite.archive import Archive, Row
from agent.adapters.sqlite.store import SqliteStore
from agent.errors import Conflict, Invalid, Unavailable
from agent.model import Kind, Record
from agent.ports import Put
from tests.support.databases import execute

A, B = "a" * 32, "b" * 32
ROWS = [
    Row(Record(Kind.HEAD, B, 7, {"ü": ["\0", 1.5, None]})),
    Row(Record(Kind.IMAGE, A, 9, {"v": 1}, "x"), ("a/b", "a b")),
]


def test_what_was_written_is_read_with_its_references(tmp_path: Path) -> None:
    size = archive.write(tmp_path / "a.db", ROWS, 12)
    assert size == (tmp_path / "a.db").stat().st_size
    assert archive.read(tmp_path / "a.db") == Archive(12, ROWS)
    assert [path.name for path in tmp_path.iterdir()] == ["a.db"]
    assert (tmp_path / "a.db").stat().st_mode & 0o777 == 0o600


def test_an_archive_never_overwrites_and_a_copy_does(tmp_path: Path) -> None:
    archive.write(tmp_path / "a.db", ROWS, 12)
    with pytest.raises(Conflict):
        archive.write(tmp_path / "a.db", [], 13)
    assert archive.read(tmp_path / "a.db").revision == 12
    archive.replace(tmp_path / "a.db", ROWS[:1], 14)
    assert archive.read(tmp_path / "a.db") == Archive(14, ROWS[:1])


async def test_the_embedded_engine_takes_an_archive(tmp_path: Path) -> None:
    archive.write(tmp_path / "a.db", ROWS, 12)
    async with SqliteStore.open(tmp_path / "agent.db") as store:
        await store.restore(tmp_path / "a.db")
        assert await store.find(Kind.IMAGE, "x") == ROWS[1].record
        assert await store.references("", 10) == ["a/b", "a b"]


async def test_a_backup_of_the_embedded_engine_and_its_live_file_are_archives(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "agent.db") as store:
        revision = await store.commit(Put(Kind.IMAGE, A, {"v": 1}, "x", references=["a/b", "a b"]))
        await store.backup(tmp_path / "backup.db")
        expected = Archive(revision, [Row(Record(Kind.IMAGE, A, revision, {"v": 1}, "x"), ("a/b", "a b"))])
        assert archive.read(tmp_path / "backup.db") == expected
        assert archive.read(tmp_path / "agent.db") == expected
    before = (tmp_path / "backup.db").read_bytes()
    archive.read(tmp_path / "backup.db")
    assert (tmp_path / "backup.db").read_bytes() == before


def test_what_is_no_archive_is_invalid(tmp_path: Path) -> None:
    (tmp_path / "garbage").write_bytes(b"not a database" * 1000)
    (tmp_path / "empty").touch()
    archive.write(tmp_path / "kind", ROWS, 1)
    execute(tmp_path / "kind", "UPDATE record SET kind = 'thing'")
    archive.write(tmp_path / "body", ROWS, 1)
    execute(tmp_path / "body", "UPDATE record SET body = '{'")
    for name in ("garbage", "empty", "missing", ".", "kind", "body"):
        with pytest.raises(Invalid):
            archive.read(tmp_path / name)


def test_where_nothing_can_be_written_it_is_unavailable_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        archive.write(tmp_path / "missing" / "a.db", ROWS, 1)
    assert list(tmp_path.iterdir()) == []

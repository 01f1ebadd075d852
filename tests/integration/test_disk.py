"""How full a disk is, and what engine changes and restores have put aside on it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.adapters.disk import Disk
from agent.errors import Unavailable

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
STAMP = "20261123T120000.000000Z"
DAY = 86400.0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """The disk of an empty directory."""
    one = Disk(tmp_path)
    yield one
    one.close()


async def test_what_was_put_aside_is_told_with_its_companions_its_content_and_its_age(
    tmp_path: Path, disk: Disk
) -> None:
    data = tmp_path / f"etcd-0.before-{STAMP}" / "member" / "snap"
    data.mkdir(parents=True)
    (data / "db").write_bytes(b"x" * 100_000)
    for name in (f"agent.db.before-etcd-{STAMP}", f"agent.db.before-etcd-{STAMP}-wal", f"copy-1.db.before-{STAMP}"):
        (tmp_path / name).write_bytes(b"x" * 5000)
    for name in ("agent.db", "etcd-1", "copy-2.db", "agent.db.before-noon"):
        (tmp_path / name).write_bytes(b"in force")

    database, copy, engine = await disk.aside(NOW)

    assert (database.name, copy.name) == (f"agent.db.before-etcd-{STAMP}", f"copy-1.db.before-{STAMP}")
    assert engine.name == f"etcd-0.before-{STAMP}"
    assert {one.age for one in (database, copy, engine)} == {DAY}
    assert database.bytes == 2 * copy.bytes >= 10_000
    assert engine.bytes >= 100_000


async def test_the_age_of_the_copy_of_etcds_records_is_told_and_not_of_one_that_was_put_aside(
    tmp_path: Path, disk: Disk
) -> None:
    (tmp_path / f"copy-2f.db.before-{STAMP}").touch()
    assert await disk.copy(NOW) is None
    copy = tmp_path / "copy-1e.db"
    copy.touch()
    os.utime(copy, (0, NOW.timestamp() - 7200))
    assert await disk.copy(NOW) == 7200


async def test_a_link_that_was_put_aside_is_not_followed(tmp_path: Path, disk: Disk) -> None:
    big = tmp_path / "elsewhere"
    big.mkdir()
    (big / "file").write_bytes(b"x" * 1_000_000)
    (tmp_path / f"etcd-0.before-{STAMP}").symlink_to(big)
    (found,) = await disk.aside(NOW)
    assert found.bytes < 10_000


async def test_another_directory_is_looked_at_too_and_one_is_looked_at_once(tmp_path: Path, disk: Disk) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / f"agent.db.before-restore-{STAMP}").write_bytes(b"x")
    assert [one.name for one in await disk.aside(NOW, other, other)] == [f"agent.db.before-restore-{STAMP}"]
    assert await disk.aside(NOW, tmp_path) == []


async def test_a_disk_is_as_full_as_df_says(tmp_path: Path, disk: Disk) -> None:
    seen, told = await disk.look(), os.statvfs(tmp_path)
    assert seen.size == told.f_blocks * told.f_frsize
    assert 0 <= seen.used <= 100
    assert 0 <= seen.inodes <= 100


async def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    one = Disk(tmp_path / "none")
    for question in (one.look(), one.aside(NOW)):
        with pytest.raises(Unavailable, match="No such file"):
            await question
    one.close()

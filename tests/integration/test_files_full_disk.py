"""On a disk without a free block, files are removed all the same, and can be restored."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.adapters.filestore.directory import DirectoryStore
from tests.support.files import FilesRoom, SetReferences, fill, present, write

NAMES = {f"{n:03d}-{'n' * 200}" for n in range(300)}
"""Enough of long names that the directory of a slot must grow."""


@pytest.fixture(params=["ext4", "ext4 without a reserve", "tmpfs"])
def room(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FilesRoom]:
    """A collector over a small disk that is full, with unused files and one that is referenced."""
    root = tmp_path / "store"
    root.mkdir()
    if request.param == "tmpfs":
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(root)], check=True)
    else:
        disk = tmp_path / "disk"
        with disk.open("wb") as file:
            file.truncate(16 * 2**20)
        # Without blocks that only root may use: the agent is not root.
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(disk)], check=True)
        subprocess.run(["mount", "-o", "loop", str(disk), str(root)], check=True)
    files = DirectoryStore(root)
    room = FilesRoom(files, SetReferences({"referenced", "ballast"}))
    room.set(root=root)
    yield room
    files.close()
    subprocess.run(["umount", str(root)], check=True)


async def test_files_are_removed_from_a_full_disk_and_restored(room: FilesRoom, request: pytest.FixtureRequest) -> None:
    root = room.live.config.files.root
    write(root, ["referenced", *NAMES])
    assert await room.collector.problem() is None
    if "without" in request.node.name:
        os.truncate(root / ".trash" / "reserve", 0)
    fill(root)
    with pytest.raises(OSError, match="No space left"):
        (root / "one more").write_bytes(b"x" * 4096)
    (root / "one more").unlink(missing_ok=True)

    removal = await room.collector.remove(force=True)
    removed = {row.filename for row in removal.removed}
    assert present(root) == {"referenced", "ballast", *NAMES} - removed
    if "without" in request.node.name:
        # The first slot's directory has one block, and there is none to grow by.
        assert removed
        assert {item.reason for item in removal.kept} == {"cannot be moved to the trash: No space left on device"}
    else:
        assert removed == NAMES
    await room.collector.trash.restore(sorted(removed))
    assert present(root) == {"referenced", "ballast", *NAMES}


async def test_the_reserve_comes_back_once_there_is_room(room: FilesRoom) -> None:
    root = room.live.config.files.root
    write(root, ["referenced", *NAMES])
    await room.store.prepare()
    ballast = fill(root)
    await room.collector.remove(force=True)
    assert await room.collector.problem() is None
    assert await room.store.usage() > 99
    ballast.unlink()
    await room.store.prepare()
    reserve = (root / ".trash" / "reserve").stat()
    assert reserve.st_size == 2**20
    assert reserve.st_blocks * 512 >= 2**20
    assert await room.store.usage() < 99


async def test_on_a_full_disk_without_a_trash_nothing_is_lost(room: FilesRoom) -> None:
    root = room.live.config.files.root
    write(root, ["referenced", "unused"])
    fill(root)
    removal = None
    problem = await room.collector.problem()
    if problem is None:  # ext4 may find room for directories in what it keeps to itself
        removal = await room.collector.remove()
    trashed = [file.filename for file in await room.store.trash()]
    assert present(root) | set(trashed) == {"referenced", "ballast", "unused"}
    assert removal is None or [row.filename for row in removal.removed] == trashed

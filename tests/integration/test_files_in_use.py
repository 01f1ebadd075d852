"""Files that somebody uses are kept, however they are used; nobody who comes between loses a file."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import mmap
import os
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.adapters.filestore.directory import DirectoryStore
from agent.adapters.filestore.leases import locked
from tests.support.files import FilesRoom, SetReferences, present, write

Use = Callable[[Path], contextlib.AbstractContextManager[object]]


@pytest.fixture(params=["ext4", "tmpfs"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A store on each of the filesystems that are known to be right."""
    root = tmp_path / "store"
    root.mkdir()
    if request.param == "ext4":
        disk = tmp_path / "disk"
        with disk.open("wb") as file:
            file.truncate(32 * 2**20)
        subprocess.run(["mkfs.ext4", "-q", str(disk)], check=True)
        mount = ["-o", "loop", str(disk)]
    else:
        mount = ["-t", "tmpfs", "-o", "size=32m", "tmpfs"]
    subprocess.run(["mount", *mount, str(root)], check=True)
    yield root
    subprocess.run(["umount", str(root)], check=True)


@pytest.fixture
def room(root: Path) -> Iterator[FilesRoom]:
    """A collector for which files may be of any age."""
    files = DirectoryStore(root)
    write(root, ["referenced"])
    yield FilesRoom(files, SetReferences({"referenced"}))
    files.close()


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    with path.open("rb"):
        yield


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    with path.open("ab"):
        yield


@contextlib.contextmanager
def _mapping(path: Path) -> Iterator[None]:
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    yield
    mapped.close()


@contextlib.contextmanager
def _other_process(path: Path) -> Iterator[None]:
    with path.open("rb") as file:
        holder = subprocess.Popen(["sleep", "60"], stdin=file)
    try:
        yield
    finally:
        holder.kill()
        holder.wait()


@contextlib.contextmanager
def _loop_mounting(path: Path) -> Iterator[None]:
    place = path.parent.parent / "mounted"
    place.mkdir()
    (path.parent.parent / "content").mkdir()
    path.unlink()
    subprocess.run(["mksquashfs", str(place.parent / "content"), str(path), "-quiet", "-no-progress"], check=True)
    subprocess.run(["mount", "-o", "loop,ro", "-t", "squashfs", str(path), str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


@contextlib.contextmanager
def _swapping(path: Path) -> Iterator[None]:
    path.write_bytes(b"\0" * 2**20)
    path.chmod(0o600)
    subprocess.run(["mkswap", str(path)], check=True, capture_output=True)
    device = subprocess.run(["losetup", "--find", "--show", str(path)], check=True, capture_output=True, text=True)
    try:
        yield
    finally:
        subprocess.run(["losetup", "--detach", device.stdout.strip()], check=True)


async def _until_unused(room: FilesRoom, filename: str) -> None:
    """A loop device lets go of its file a moment after it was unmounted."""
    async with asyncio.timeout(10):
        while filename not in await room.unused():
            await asyncio.to_thread(os.sync)


@pytest.mark.parametrize("use", [_reading, _writing, _mapping, _other_process, _loop_mounting, _swapping])
async def test_a_file_that_is_used_is_kept_until_it_is_not(root: Path, room: FilesRoom, use: Use) -> None:
    write(root, ["used"])
    with use(root / "used"):
        assert await room.unused() == []
        removal = await room.collector.remove()
        assert {item.filename: item.reason for item in removal.kept} == {"used": "is in use"}
        assert present(root) == {"referenced", "used"}
    await _until_unused(room, "used")
    await room.collector.remove()
    assert present(root) == {"referenced"}


async def test_a_use_that_begins_after_the_scan_keeps_the_file(root: Path, room: FilesRoom) -> None:
    write(root, ["a", "b"])
    facts = await room.store.facts(["a", "b"])
    with (root / "a").open("rb"):
        assert await room.store.discard(facts) == ["is in use", None]
    assert present(root) == {"referenced", "a"}


async def test_a_change_after_the_scan_keeps_the_file(root: Path, room: FilesRoom) -> None:
    names = ["written", "touched", "replaced", "linked", "renamed", "swapped", "same"]
    write(root, names)
    facts = await room.store.facts(names)
    (root / "written").write_bytes(b"y")
    os.utime(root / "touched")
    (root / "fresh").write_bytes(b"x")
    (root / "fresh").rename(root / "replaced")
    os.link(root / "linked", root / "second")
    (root / "renamed").rename(root / "elsewhere")
    (root / "swapped").unlink()
    (root / "swapped").symlink_to("referenced")
    reasons = dict(zip(names, await room.store.discard(facts), strict=True))
    assert reasons.pop("same") is None
    assert all(reasons.values()), reasons
    assert present(root) == {"referenced", "written", "touched", "replaced", "linked", "second", "elsewhere", "swapped"}


async def test_a_directory_that_becomes_a_link_is_not_followed(root: Path, room: FilesRoom, tmp_path: Path) -> None:
    write(root, ["folder/file"])
    write(tmp_path, ["outside/file"])
    facts = await room.store.facts(["folder/file"])
    (root / "folder").rename(root / "moved")
    (root / "folder").symlink_to(tmp_path / "outside")
    (reason,) = await room.store.discard(facts)
    assert reason == "is not there any more"
    assert await room.store.facts(["folder/file"]) == []
    assert present(tmp_path / "outside") == {"file"}


def _flock(fd: int) -> None:
    fcntl.flock(fd, fcntl.LOCK_EX)


def _posix(fd: int) -> None:
    fcntl.lockf(fd, fcntl.LOCK_EX)


def _open_file(fd: int) -> None:
    fcntl.fcntl(fd, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))


@pytest.mark.parametrize("lock", [_flock, _posix, _open_file])
async def test_an_upload_whose_lock_is_held_is_kept_and_a_dead_one_is_a_leftover(
    root: Path, room: FilesRoom, lock: Callable[[int], None]
) -> None:
    write(root, ["a.iso.part", "b.old.01"])
    with (root / "a.iso.part").open("ab") as upload:
        lock(upload.fileno())
        with (root / "a.iso.part").open("rb") as other:
            assert locked(other.fileno())
        assert await room.unused() == ["b.old.01"]
    with (root / "a.iso.part").open("rb") as other:
        assert not locked(other.fileno())
    survey = await room.collector.unused()
    assert [(item.row.filename, item.row.reason) for item in survey.unused] == [
        ("a.iso.part", "leftover"),
        ("b.old.01", "leftover"),
    ]


async def test_readers_that_keep_coming_never_find_a_file_missing_that_is_kept(root: Path, room: FilesRoom) -> None:
    """Readers open a file over and over while it is being removed: each either gets it, or it is in the trash."""
    write(root, ["busy"], b"content")
    stop = threading.Event()
    wrong: list[bytes] = []

    def read() -> None:
        while not stop.is_set():
            with contextlib.suppress(FileNotFoundError), (root / "busy").open("rb") as file:
                if (content := file.read()) != b"content":
                    wrong.append(content)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for _ in range(50):
            facts = await room.store.facts(["busy"])
            (reason,) = await room.store.discard(facts)
            there = "busy" in present(root)
            assert there == (reason is not None)
            if not there:
                assert await room.store.restore(await room.store.trash()) == [None]
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert wrong == []

"""Somebody comes between: openers during a lease, names that change hands during a removal."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.adapters.filestore.directory import DirectoryStore
from agent.adapters.filestore.leases import Lease, ignore_lease_breaks
from tests.support.files import present, write


@pytest.fixture
def files(tmp_path: Path) -> Iterator[DirectoryStore]:
    """A store."""
    (tmp_path / "store").mkdir()
    files = DirectoryStore(tmp_path / "store")
    yield files
    files.close()


@contextlib.contextmanager
def _meanwhile(act: threading.Thread) -> Iterator[None]:
    act.start()
    yield
    act.join()


def test_an_opener_waits_for_the_end_of_the_lease_and_is_noticed(tmp_path: Path) -> None:
    ignore_lease_breaks()
    write(tmp_path, ["file"], b"content")
    read: list[bytes] = []
    opener = threading.Thread(target=lambda: read.append((tmp_path / "file").read_bytes()))
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, fd)
        with Lease(fd) as lease:
            assert lease.refused is None
            assert not lease.wanted
            stack.enter_context(_meanwhile(opener))
            while not lease.wanted:
                os.sched_yield()
            assert read == []
    assert read == [b"content"]


def test_a_second_descriptor_refuses_the_lease(tmp_path: Path) -> None:
    write(tmp_path, ["file"])
    with (tmp_path / "file").open("rb") as one, (tmp_path / "file").open("rb"), Lease(one.fileno()) as lease:
        assert lease.refused == "is in use"


async def test_a_file_that_takes_anothers_place_is_never_taken_for_it(files: DirectoryStore, tmp_path: Path) -> None:
    """Somebody renames new files to the place all the time: only what was judged goes."""
    root = tmp_path / "store"
    stop = threading.Event()

    def replace() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            fresh = root / f".{number}"
            fresh.write_bytes(b"%d" % number)
            fresh.rename(root / "place")

    swapper = threading.Thread(target=replace)
    with _meanwhile(swapper):
        try:
            for _ in range(1000):
                for facts in await files.facts(["place"]):
                    (reason,) = await files.discard([facts])
                    trashed = {file.inode for file in await files.trash()}
                    assert (facts.inode in trashed) == (reason is None)
                    for file in await files.trash():
                        await files.purge([file])
        finally:
            stop.set()
    assert present(root) <= {"place"}


async def test_a_directory_that_comes_and_goes_as_a_link_is_never_left(files: DirectoryStore, tmp_path: Path) -> None:
    """A folder is exchanged for a link to precious files and back, while the folder's own files are removed."""
    root = tmp_path / "store"
    names = {f"{n:03d}" for n in range(200)}
    write(tmp_path / "outside", names)
    write(root, {f"folder/{name}" for name in names})
    (root / "link").symlink_to(tmp_path / "outside")
    stop = threading.Event()

    def exchange() -> None:
        while not stop.is_set():
            (root / "folder").rename(root / "aside")
            (root / "link").rename(root / "folder")
            (root / "folder").rename(root / "link")
            (root / "aside").rename(root / "folder")

    with _meanwhile(threading.Thread(target=exchange)):
        try:
            for _ in range(20):
                facts = await files.facts([f"folder/{name}" for name in sorted(names)])
                await files.discard(facts)
        finally:
            stop.set()
    assert present(tmp_path / "outside") == names
    trashed = {file.filename for file in await files.trash()}
    assert present(root) | trashed == {f"folder/{name}" for name in names}

"""The file store on a real directory: the contract, odd names, links and devices, what cannot be read."""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest

from agent.adapters.filestore.directory import DirectoryStore
from agent.adapters.filestore.walk import walk
from agent.errors import Unavailable
from agent.ports import walk_key
from tests.contracts.file_store import FileStoreContract, Put
from tests.support.files import FilesRoom, SetReferences, present, write


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty store."""
    root = tmp_path / "store"
    root.mkdir()
    return root


@pytest.fixture
def files(root: Path) -> Iterator[DirectoryStore]:
    """The store on it."""
    files = DirectoryStore(root)
    yield files
    files.close()


@pytest.fixture
def put(root: Path) -> Put:
    """Writes a file."""

    def put(filename: str, content: bytes = b"x") -> None:
        write(root, [filename], content)

    return put


@pytest.fixture
def room(files: DirectoryStore) -> FilesRoom:
    """A collector for which files may be of any age."""
    return FilesRoom(files, SetReferences({"referenced"}))


class TestDirectoryStore(FileStoreContract):
    """The contract."""


async def test_only_regular_files_are_listed(root: Path, room: FilesRoom, tmp_path: Path) -> None:
    write(root, ["referenced", "plain", "folder/inner", ".hidden", ".folder/x", "folder/.dot"])
    outside = tmp_path / "outside"
    write(tmp_path, ["outside/precious"])
    (root / "link").symlink_to(root / "plain")
    (root / "dangling").symlink_to("nowhere")
    (root / "linked-folder").symlink_to(outside, target_is_directory=True)
    os.mkfifo(root / "fifo")
    os.mknod(root / "device", 0o600 | 0o020000, os.makedev(1, 3))
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(root / "socket"))
    (root / "empty").mkdir()
    assert await room.unused() == ["folder/inner", "plain"]
    await room.collector.remove(force=True)
    assert present(outside) == {"precious"}
    assert {"link", "dangling", "fifo", "device", "socket"} <= present(root)
    assert (root / "folder").is_dir()


async def test_what_an_object_refers_to_by_a_symbolic_link_stays(root: Path, room: FilesRoom, tmp_path: Path) -> None:
    write(root, ["v4", "v5", "folder/v6", "referenced"])
    (root / "latest").symlink_to("folder/next")
    (root / "folder/next").symlink_to("../v5")
    (root / "current").symlink_to(root / "folder/v6")
    (root / "outside").symlink_to(tmp_path)
    (root / "loop").symlink_to("loop")
    (root / "old").symlink_to("v4")
    room.references.names |= {"./latest", "outside", "loop"}
    assert await room.unused() == ["folder/v6", "v4"]
    assert (await room.kept())["v5"] == "is where a symbolic link leads that an object refers to"
    room.references.then = {room.references.readings + 3: "current", room.references.readings + 4: "old"}
    await room.collector.remove(force=True)
    assert present(root) >= {"v4", "v5", "folder/v6"}


@pytest.mark.parametrize(
    "name", ["new\nline", "quo\"te'", "tab\t", "back\\slash", "%2F", "100%", "ünïcödé", "-rf", "*", "x" * 255, " "]
)
async def test_odd_names_go_and_come_back(root: Path, room: FilesRoom, name: str) -> None:
    write(root, ["referenced", name])
    assert await room.unused() == [name]
    await room.collector.remove()
    assert present(root) == {"referenced"}
    await room.collector.trash.restore([name])
    assert present(root) == {"referenced", name}


async def test_names_that_are_not_utf8_are_never_listed_or_touched(root: Path, room: FilesRoom) -> None:
    write(root, ["referenced", "plain"])
    (root / os.fsdecode(b"caf\xe9")).write_bytes(b"x")
    inner = root / os.fsdecode(b"dir\xff")
    inner.mkdir()
    (inner / "x").write_bytes(b"x")
    assert await room.unused() == ["plain"]
    await room.collector.remove()
    assert (root / os.fsdecode(b"caf\xe9")).exists()
    assert (inner / "x").exists()


async def test_a_name_too_long_for_the_trash_is_kept_with_the_reason(root: Path, room: FilesRoom) -> None:
    name = f"{'d' * 200}/{'f' * 200}"
    write(root, ["referenced", name])
    removal = await room.collector.remove()
    assert [item.reason for item in removal.kept] == ["cannot be moved to the trash: File name too long"]
    assert name in present(root)


async def test_hard_links_keep_a_file(root: Path, room: FilesRoom, tmp_path: Path) -> None:
    write(root, ["referenced", "linked"])
    os.link(root / "linked", tmp_path / "elsewhere")
    assert await room.unused() == []
    assert "1 more hard link" in (await room.kept())["linked"]


async def test_sparse_files_are_found_by_their_content(root: Path, room: FilesRoom) -> None:
    write(root, ["referenced"])
    with (root / "sparse").open("wb") as file:
        file.truncate(2**40)
    survey = await room.collector.unused()
    assert [(item.row.filename, item.row.size, item.row.kind) for item in survey.unused] == [("sparse", 2**40, "other")]


async def test_what_is_mounted_in_the_store_is_left_alone(root: Path, room: FilesRoom, tmp_path: Path) -> None:
    write(root, ["referenced", "plain", "over"])
    write(tmp_path, ["bound/precious", "file"])
    (root / "same disk").mkdir()
    (root / "other disk").mkdir()
    mounts = (
        ["--bind", str(tmp_path / "bound"), str(root / "same disk")],
        ["-t", "tmpfs", "tmpfs", str(root / "other disk")],
        ["--bind", str(tmp_path / "file"), str(root / "over")],
    )
    try:
        for mount in mounts:
            subprocess.run(["mount", *mount], check=True)
        write(root, ["other disk/x"])
        assert await room.unused() == ["plain"]
        assert "mount" in (await room.kept())["over"]
    finally:
        for mount in mounts:
            subprocess.run(["umount", mount[-1]], check=False)


async def test_deep_directories_are_walked(root: Path, room: FilesRoom) -> None:
    deep = "/".join(f"d{n}" for n in range(300))
    write(root, ["referenced", f"{deep}/bottom", "d0/side"])
    survey = await room.collector.unused()
    assert [item.row.filename for item in survey.unused] == [f"{deep}/bottom", "d0/side"]
    removal = await room.collector.remove(force=True)
    assert [item.reason for item in removal.kept] == ["cannot be moved to the trash: File name too long"]
    assert present(root) == {"referenced", f"{deep}/bottom"}


@pytest.mark.parametrize("count", [1, 4095, 4096, 4097, 9000])
def test_large_directories_are_walked_in_order(root: Path, count: int) -> None:
    # Files and directories take turns, so that listings of several runs hold both.
    names = {f"{n * 7919 % 100_003:06d}" + ("/x" if n % 50 == 0 else "") for n in range(count)}
    write(root, names)
    fd = os.open(root, os.O_RDONLY)
    try:
        paths = [path for block in walk(fd) for path in block]
    finally:
        os.close(fd)
    assert paths == sorted(names, key=walk_key)


async def test_a_store_that_is_not_there_or_no_directory_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    for name in ("nowhere", "file", "link"):
        files = DirectoryStore(tmp_path / name)
        room = FilesRoom(files)
        try:
            with pytest.raises(Unavailable) as caught:
                await room.collector.unused()
            assert str(tmp_path) not in caught.value.reason
            with pytest.raises(Unavailable):
                await room.collector.remove(force=True)
            assert await room.collector.problem() is not None
        finally:
            files.close()


async def test_files_that_vanish_during_a_scan_are_passed_over(root: Path, files: DirectoryStore) -> None:
    write(root, [f"{n:03d}/f" for n in range(300)])

    async def slowly() -> AsyncIterator[Sequence[str]]:
        yield ["000/f"]
        for n in range(0, 300, 2):
            (root / f"{n:03d}" / "f").unlink(missing_ok=True)
            (root / f"{n:03d}").rmdir()
        yield ["299/f"]

    sighting = await files.unreferenced(slowly())
    facts = await files.facts(sighting.unreferenced)
    assert [fact.filename for fact in facts] == [f"{n:03d}/f" for n in range(1, 299, 2)]


async def test_a_scan_that_is_given_up_ends(root: Path, files: DirectoryStore) -> None:
    write(root, [f"{n:03d}/f" for n in range(100)])
    begun = asyncio.Event()

    async def forever() -> AsyncIterator[Sequence[str]]:
        yield ["000/f"]
        begun.set()
        await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        scan = group.create_task(files.unreferenced(forever()))
        await begun.wait()
        scan.cancel()
    assert (await files.unreferenced(SetReferences().references())).scanned == 100


async def test_the_filesystem_is_known(root: Path, files: DirectoryStore) -> None:
    await files.prepare()
    assert files.trusted
    overlay = root / "overlay"
    for name in ("lower", "upper", "work", "merged"):
        (root / name).mkdir()
    options = f"lowerdir={root}/lower,upperdir={root}/upper,workdir={root}/work"
    mount = ["mount", "-t", "overlay", "overlay", "-o", options, str(root / "merged")]
    subprocess.run(mount, check=True)
    other = DirectoryStore(root / "merged")
    try:
        await other.prepare()
        assert not other.trusted
        room = FilesRoom(other, SetReferences({"nothing"}))
        write(root / "merged", ["young"])
        assert "86400" in (await room.kept())["young"]
    finally:
        other.close()
        subprocess.run(["umount", str(root / "merged")], check=True)
    assert not overlay.exists()


async def test_an_overlay_of_two_disks_is_no_mount_point(root: Path) -> None:
    """There a file has another device than its directory."""
    for name in ("lower", "upper", "merged"):
        (root / name).mkdir()
    write(root / "lower", ["image"])
    options = f"lowerdir={root}/lower,upperdir={root}/upper/up,workdir={root}/upper/work"
    subprocess.run(["mount", "-t", "tmpfs", "upper", str(root / "upper")], check=True)
    try:
        (root / "upper/up").mkdir()
        (root / "upper/work").mkdir()
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(root / "merged")], check=True)
        other = DirectoryStore(root / "merged")
        try:
            await other.prepare()
            kept = await FilesRoom(other, SetReferences({"nothing"})).kept()
        finally:
            other.close()
            subprocess.run(["umount", str(root / "merged")], check=True)
    finally:
        subprocess.run(["umount", str(root / "upper")], check=True)
    assert "mount point" not in kept["image"]
    assert "another device" in kept["image"]


async def test_trash_that_somebody_put_there_leads_nowhere_else(
    root: Path, files: DirectoryStore, tmp_path: Path
) -> None:
    await files.prepare()
    slot = root / ".trash" / "0001"
    for name in ("..%2F..%2Fescaped", "%2Fescaped", "a%2F..%2F..%2Fescaped", ".dot", "not%escaped", "fine"):
        (slot / name).write_bytes(b"x")
    (slot / os.fsdecode(b"caf\xe9")).write_bytes(b"x")
    (slot / "link").symlink_to("/etc/passwd")
    trash = await files.trash()
    assert [file.filename for file in trash] in (["/escaped", "fine"], ["fine"])
    await files.restore(trash)
    assert present(tmp_path) == {"store/fine"}


async def test_a_trash_that_is_a_link_is_refused(root: Path, files: DirectoryStore, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (root / ".trash").symlink_to(tmp_path / "elsewhere")
    write(root, ["plain"])
    with pytest.raises(Unavailable):
        await files.prepare()
    with pytest.raises(Unavailable):
        await files.discard(await files.facts(["plain"]))
    assert present(root) == {"plain"}
    assert list((tmp_path / "elsewhere").iterdir()) == []


async def test_a_lease_in_a_trash_that_somebody_put_there_holds_nothing_up(root: Path, files: DirectoryStore) -> None:
    await files.prepare()
    held = os.open(root / ".trash" / "clock", os.O_RDWR)
    try:
        fcntl.fcntl(held, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        async with asyncio.timeout(10):
            with pytest.raises(Unavailable, match="cannot be used"):
                await files.now()
    finally:
        os.close(held)


async def test_directories_that_are_gone_are_made_again_for_a_restore(root: Path, room: FilesRoom) -> None:
    write(root, ["referenced", "a/b/c"])
    await room.collector.remove()
    (root / "a" / "b").rmdir()
    (root / "a").rmdir()
    await room.collector.trash.restore(["a/b/c"])
    assert present(root) == {"referenced", "a/b/c"}

"""The file store on a directory of this head: everything that touches it happens here, in one thread of its own."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import structlog

from agent.adapters.filestore.leases import IN_USE, OPEN_FILE, Lease, ignore_lease_breaks, locked
from agent.adapters.filestore.renames import TRUSTED_TYPES, filesystem_type
from agent.adapters.filestore.trash import Trash
from agent.adapters.filestore.tree import Tree
from agent.adapters.filestore.walk import GONE, walk
from agent.errors import Unavailable
from agent.files.difference import Difference
from agent.files.kinds import OTHER, kind_of
from agent.files.unused import is_upload
from agent.model import FileFacts, Look, TrashedFile
from agent.ports import Sighting

log = structlog.get_logger()

T = TypeVar("T")

PROGRESS = 5.0
"""Seconds between two lines about a long scan."""

_VANISHED = "is not there any more"
_CHANGED = "has changed meanwhile"
_ABSENT = (*GONE, errno.ENAMETOOLONG)


class DirectoryStore:
    """`FileStore` on a directory, which is opened anew for each piece of work.

    Make it in the main thread, and `close` it in the end.
    """

    def __init__(self, root: Path) -> None:
        ignore_lease_breaks()
        self._root = root
        self._trusted = False
        self._walk: Difference | None = None
        self._thread = ThreadPoolExecutor(1, "files")

    def close(self) -> None:
        """Wait for the work under way, and end the thread."""
        self._thread.shutdown()

    @property
    def trusted(self) -> bool:
        """Whether leases are known to be right here; False before the directory was first opened."""
        return self._trusted

    @property
    def scanned(self) -> int:
        """Files that the walk under way has seen; read while its thread counts on."""
        return self._walk.scanned if self._walk else 0

    async def prepare(self) -> None:
        """Have slots and the reserve ready."""

        def work(tree: Tree) -> None:
            if not os.access(".", os.W_OK, dir_fd=tree.fd):
                raise PermissionError(
                    errno.EACCES, "the agent may not write to it: chgrp and chmod g+rwxs its directory"
                )
            with Trash.made(tree) as trash:
                trash.prepare()

        await self._do(work)

    async def now(self) -> int:
        """The filesystem's clock; the machine's where the agent may not write, and so may not remove either."""

        def work(tree: Tree) -> int:
            try:
                with Trash.made(tree) as trash:
                    return trash.now()
            except OSError as err:
                if err.errno not in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC):
                    raise
            return time.time_ns()

        return await self._do(work)

    async def usage(self) -> float:
        """How full the disk is, in percent."""

        def work(tree: Tree) -> float:
            disk = os.statvfs(tree.fd)
            used = disk.f_blocks - disk.f_bfree
            return 100 * used / max(used + disk.f_bavail, 1)

        return await self._do(work)

    async def unreferenced(self, references: AsyncIterator[Sequence[str]]) -> Sighting:
        """Walk and compare, one batch of references at a time; the next is read while this one is compared."""
        loop = asyncio.get_running_loop()
        stopped = threading.Event()
        links: list[str] = []
        blocks = self._blocks(stopped, links)
        self._walk = difference = Difference(blocks, str(self._root))
        told = loop.time()
        step: asyncio.Future[None] | None = None
        try:
            async for batch in references:
                if step is not None:
                    await step
                step = loop.run_in_executor(self._thread, difference.feed, batch)
                if loop.time() - told > PROGRESS:
                    told = loop.time()
                    log.debug("Scanning the file store", scanned=difference.scanned)
            if step is not None:
                await step
            left = await loop.run_in_executor(self._thread, difference.finish)
            leads = await loop.run_in_executor(self._thread, self._leads, links)
            return Sighting(left, difference.scanned, difference.references, leads)
        except OSError as err:
            raise _unavailable(err) from err
        finally:
            self._walk = None
            stopped.set()
            if step is not None and not step.cancel() and not step.cancelled():
                step.exception()
            self._thread.submit(blocks.close)

    def _leads(self, links: Sequence[str]) -> dict[str, str]:
        """Where those links lead that lead to something in the store, through however many others."""
        inside = os.path.realpath(self._root).rstrip("/") + "/"
        ends = {link: os.path.realpath(inside + link) for link in links}
        return {link: end.removeprefix(inside) for link, end in ends.items() if end.startswith(inside)}

    def _blocks(self, stopped: threading.Event, links: list[str]) -> Generator[list[str], None, None]:
        """The walk, which opens the root when it begins and ends early once nobody waits for it any more."""
        with Tree(self._root) as tree:
            for block in walk(tree.fd, frozenset(f"{point}/" for point in tree.mounts), links):
                if stopped.is_set():
                    return
                yield block

    async def facts(self, filenames: Sequence[str]) -> list[FileFacts]:
        """The facts of those that are there."""

        def work(tree: Tree) -> list[FileFacts]:
            found = []
            for filename in filenames:
                try:
                    found.append(tree.facts(filename))
                except OSError as err:
                    if err.errno not in _ABSENT:
                        raise
            return found

        return await self._do(work)

    async def look(self, files: Sequence[FileFacts]) -> list[Look]:
        """Open each."""
        return await self._do(lambda tree: [_look(tree, facts) for facts in files])

    async def discard(self, files: Sequence[FileFacts]) -> list[str | None]:
        """Move each to the trash."""

        def work(tree: Tree) -> list[str | None]:
            with Trash.made(tree) as trash:
                return [_discard(tree, trash, facts) for facts in files]

        return await self._do(work)

    async def trash(self) -> list[TrashedFile]:
        """What is in the trash; nothing where there is no trash yet."""

        def work(tree: Tree) -> list[TrashedFile]:
            try:
                with Trash(tree) as trash:
                    return trash.listing()
            except FileNotFoundError:
                return []

        return await self._do(work)

    async def restore(self, files: Sequence[TrashedFile]) -> list[str | None]:
        """Put each back."""
        return await self._do(lambda tree: _each(tree, files, Trash.put_back))

    async def purge(self, files: Sequence[TrashedFile]) -> list[str | None]:
        """Remove each from the trash."""
        return await self._do(lambda tree: _each(tree, files, Trash.unlink))

    async def _do(self, work: Callable[[Tree], T]) -> T:
        """Have the thread do it, with the store's directory open."""

        def opened() -> T:
            with Tree(self._root) as tree:
                self._trusted = filesystem_type(tree.fd) in TRUSTED_TYPES
                return work(tree)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, opened)
        except OSError as err:
            raise _unavailable(err) from err


def _unavailable(err: OSError) -> Unavailable:
    """What went wrong, with a path only when it lies below the root."""
    where = ""
    if isinstance(err.filename, str) and not err.filename.startswith("/"):
        where = f" ({err.filename.encode(errors='backslashreplace').decode()})"
    return Unavailable(f"the file store cannot be used: {err.strerror or 'it cannot be read'}{where}")


def _open(tree: Tree, facts: FileFacts) -> int | str:
    """A descriptor of the file, or why there is none."""
    try:
        folder, name = tree.parent(facts.filename)
        return os.open(name, OPEN_FILE, dir_fd=folder)
    except OSError as err:
        if err.errno in _ABSENT:
            return _VANISHED
        if err.errno == errno.EWOULDBLOCK:
            return IN_USE
        return f"counts as in use, since it cannot be opened: {os.strerror(err.errno or 0)}"


def _busy(fd: int, lease: Lease, facts: FileFacts) -> str | None:
    if lease.refused is None and is_upload(facts.filename) and locked(fd):
        return "is locked: an upload is under way"
    return lease.refused


def _look(tree: Tree, facts: FileFacts) -> Look:
    fd = _open(tree, facts)
    if isinstance(fd, str):
        return Look(fd, OTHER)
    try:
        if tree.as_facts(facts.filename, os.fstat(fd)) != facts:
            return Look(_CHANGED, OTHER)
        with Lease(fd) as lease:
            busy = _busy(fd, lease, facts)
            return Look(busy, OTHER if busy else kind_of(lambda offset, length: os.pread(fd, length, offset)))
    except OSError as err:
        return Look(f"counts as in use, since it cannot be read: {os.strerror(err.errno or 0)}", OTHER)
    finally:
        os.close(fd)


def _discard(tree: Tree, trash: Trash, facts: FileFacts) -> str | None:
    """Move one file to the trash under its lease: whoever opens it meanwhile waits, and is noticed."""
    fd = _open(tree, facts)
    if isinstance(fd, str):
        return fd
    try:
        if tree.as_facts(facts.filename, os.fstat(fd)) != facts:
            return _CHANGED
        with Lease(fd) as lease:
            if busy := _busy(fd, lease, facts):
                return busy
            if tree.facts(facts.filename) != facts:
                return _CHANGED
            trashed = trash.take(facts)
            ours = trash.inode(trashed) == facts.inode
            if lease.wanted or not ours:
                # Somebody came between: an opener, or another file in the same place. It goes back to where it was,
                # unless yet another has taken that: then what was moved had been replaced all the same.
                with suppress(FileExistsError):
                    trash.put_back(trashed)
                    return IN_USE
            if not ours:
                return _CHANGED
            return None
    except OSError as err:
        if err.errno in _ABSENT and err.errno != errno.ENAMETOOLONG:
            return _VANISHED
        return f"cannot be moved to the trash: {os.strerror(err.errno or 0)}"
    finally:
        os.close(fd)


def _each(tree: Tree, files: Sequence[TrashedFile], act: Callable[[Trash, TrashedFile], None]) -> list[str | None]:
    """Do the same with each file of the trash."""
    with Trash.made(tree) as trash:
        return [_one(trash, file, act) for file in files]


def _one(trash: Trash, file: TrashedFile, act: Callable[[Trash, TrashedFile], None]) -> str | None:
    try:
        if trash.inode(file) != file.inode:
            return "is not in the trash any more"
        act(trash, file)
    except FileExistsError:
        return "has a new file in its place"
    except FileNotFoundError:
        return "is not in the trash any more"
    except OSError as err:
        return f"cannot be brought out of the trash: {os.strerror(err.errno or 0)}"
    return None

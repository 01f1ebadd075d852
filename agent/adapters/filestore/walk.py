"""The walk through the file store: by directory descriptor, never through a link, in walk order."""

from __future__ import annotations

import errno
import os
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import chain

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""How a directory of the store is opened: as a directory, and never through a symbolic link."""

GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
"""What opening says when a directory was removed, or exchanged for something else, after it was seen."""

_FOLDER = "\0"
"""Ends a directory's name in a listing, and so sorts it where walk order wants what lies below it."""

_BLOCK = 2048
_RUN = 4096
_SEGMENT = 128
_STRIDE = 32


def walk(root: int, skip: frozenset[str] = frozenset(), links: list[str] | None = None) -> Iterator[list[str]]:
    """The paths of all regular files below the directory `root`: sorted blocks, one after the other in walk order.

    Leaves out what lies below dot-directories and below the directories in `skip` (their paths, each with a "/" at
    the end). A directory that vanishes meanwhile is passed over; one that cannot be read raises OSError. The symbolic
    links that it comes by are added to `links`.
    """
    block: list[str] = []
    links = [] if links is None else links
    stack: list[tuple[int, str, Iterator[str]]] = [(os.dup(root), "", iter(_listing(root, "", links)[0]))]
    try:
        while stack:
            parent, prefix, names = stack[-1]
            for name in names:
                if name[-1] != _FOLDER:
                    block.append(prefix + name)
                else:
                    name = name[:-1]
                    below = f"{prefix}{name}/"
                    if below in skip:
                        continue
                    try:
                        fd = os.open(name, DIRECTORY, dir_fd=parent)
                    except OSError as err:
                        if err.errno in GONE:
                            continue
                        raise OSError(err.errno, err.strerror, below) from err
                    try:
                        inside, folders = _listing(fd, below, links)
                    except BaseException:
                        os.close(fd)
                        raise
                    if folders:
                        stack.append((fd, below, iter(inside)))
                        break
                    os.close(fd)
                    block += [below + name for name in inside]
                if len(block) >= _BLOCK:
                    yield block
                    block = []
            else:
                os.close(stack.pop()[0])
        if block:
            yield block
    finally:
        for fd, _, _ in stack:
            os.close(fd)


def _listing(fd: int, prefix: str, links: list[str]) -> tuple[Iterable[str], int]:
    """The sorted names of a directory's regular files and directories (marked), and how many of the latter.

    Adds the paths of its symbolic links to `links`; `prefix` is the directory's own.
    """
    names: list[str] = []
    segments: list[tuple[str, str]] = []
    folders = 0
    with os.scandir(fd) as entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                names.append(entry.name)
            elif entry.is_dir(follow_symlinks=False) and entry.name[0] != ".":
                names.append(entry.name + _FOLDER)
                folders += 1
            elif entry.is_symlink():
                links.append(prefix + entry.name)
            if len(names) == _RUN:
                segments += _segments(names)
                names = []
    if segments:
        return chain.from_iterable(_merged(segments + _segments(names))), folders
    names.sort()
    return names, folders


def _segments(run: list[str]) -> list[tuple[str, str]]:
    """A run of names, sorted and cut in pieces: the first name of each, and all of them joined.

    However large a directory is, its names are sorted a few thousand at a time (sorting all of them would hold the
    interpreter for tens of milliseconds) and wait joined, which takes a third of the memory that they take apart.
    """
    run.sort()
    return [(run[i], "/".join(run[i : i + _SEGMENT])) for i in range(0, len(run), _SEGMENT)]


def _merged(segments: list[tuple[str, str]]) -> Iterator[list[str]]:
    """The names of all segments in order, in lists that follow one another."""
    segments.sort(reverse=True)
    waiting: list[str] = []
    while segments:
        for _ in range(min(_STRIDE, len(segments))):
            waiting += segments.pop()[1].split("/")
        waiting.sort()
        # All names below the next segment's first are at hand; of each run at most one segment waits on.
        ready = bisect_left(waiting, segments[-1][0]) if segments else len(waiting)
        yield waiting[:ready]
        del waiting[:ready]

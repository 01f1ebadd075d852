"""Fixtures: a collector over a small store in memory."""

from __future__ import annotations

import pytest

from tests.support.files import FilesRoom, SetReferences
from tests.support.memory_files import MemoryFiles


@pytest.fixture
def files() -> MemoryFiles:
    """A store with three referenced files and one that is not."""
    files = MemoryFiles()
    for name in ("image", "initramfs", "kernel", "unused"):
        files.put(name)
    return files


@pytest.fixture
def room(files: MemoryFiles) -> FilesRoom:
    """The collector over it; files may be of any age."""
    return FilesRoom(files, SetReferences({"image", "initramfs", "kernel"}))

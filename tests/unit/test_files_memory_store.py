"""The file store in memory keeps the contract that the one on a disk keeps."""

from __future__ import annotations

import pytest

from tests.contracts.file_store import FileStoreContract, Put
from tests.support.memory_files import MemoryFiles


class TestMemoryFiles(FileStoreContract):
    """The contract."""

    @pytest.fixture
    def files(self) -> MemoryFiles:
        return MemoryFiles()

    @pytest.fixture
    def put(self, files: MemoryFiles) -> Put:
        return files.put

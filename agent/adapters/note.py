"""`Note` as a JSON file in the state directory."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from typing_extensions import override

from agent.adapters.durable import replace, sync
from agent.errors import Unavailable
from agent.ports.note import Note


class NoteFile(Note):
    """One file, replaced whole."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @override
    async def read(self) -> dict[str, Any] | None:
        """What is noted, or None."""
        return await asyncio.to_thread(self._read)

    @override
    async def write(self, content: Mapping[str, Any]) -> None:
        """Note this."""
        await asyncio.to_thread(replace, self._path, msgspec.json.encode(content))

    @override
    async def clear(self) -> None:
        """Remove the file."""
        await asyncio.to_thread(self._clear)

    def _read(self) -> dict[str, Any] | None:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, Any])
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as err:
            raise Unavailable(f"cannot read {self._path}: {err}") from err

    def _clear(self) -> None:
        try:
            self._path.unlink(missing_ok=True)
            sync(self._path.parent)
        except OSError as err:
            raise Unavailable(f"cannot remove {self._path}: {err.strerror}") from err

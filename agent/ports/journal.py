"""What this head has begun and not ended, on its own disk: for work that a kill must not leave half done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Journal(Protocol):
    """One note that outlives the process. Every method raises Unavailable when the disk fails."""

    async def read(self) -> dict[str, Any] | None:
        """The note, or None."""
        ...

    async def write(self, note: Mapping[str, Any]) -> None:
        """Keep this note in place of any other; it is durable when this returns."""
        ...

    async def clear(self) -> None:
        """Have no note any more."""
        ...

"""What this head has begun and not ended, on its own disk: for work that a kill must not leave half done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Note(Protocol):
    """One note that outlives the process. Every method raises Unavailable when the disk fails."""

    async def read(self) -> dict[str, Any] | None:
        """What is noted, or None."""
        ...

    async def write(self, content: Mapping[str, Any]) -> None:
        """Note this in place of anything else; it is durable when this returns."""
        ...

    async def clear(self) -> None:
        """Have nothing noted any more."""
        ...

"""The names of this machine's users, for the audit; asking for one may take long, where they are in a directory."""

from __future__ import annotations

import asyncio
import pwd

_PATIENCE = 0.5
"""Seconds that a request waits for a name, once: without it the audit has the uid alone."""
_KNOWN = 256


class UserNames:
    """Names by uid, each asked for once."""

    def __init__(self) -> None:
        self._known: dict[int, str | None] = {}

    async def of(self, uid: int) -> str | None:
        """The user's name; None where there is none, or none in time."""
        if uid not in self._known:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known[uid] = None  # whoever asks meanwhile does not ask once more
            try:
                async with asyncio.timeout(_PATIENCE):
                    self._known[uid] = await asyncio.to_thread(_name, uid)
            except TimeoutError:
                return None
        return self._known[uid]


def _name(uid: int) -> str | None:
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OSError):
        return None

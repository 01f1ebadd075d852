"""The names of this machine's users, for the audit; asking for one may take long, where they are in a directory."""

from __future__ import annotations

import asyncio
import pwd
from collections.abc import Callable

_KNOWN = 256


def _name(uid: int) -> str | None:
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OSError):
        return None


class UserNames:
    """Names by uid, each asked for once."""

    def __init__(self, ask: Callable[[int], str | None] = _name, patience: float = 0.5) -> None:
        """`patience`: seconds that a request waits for a name, once: without it the audit has the uid alone."""
        self._ask = ask
        self._patience = patience
        self._known: dict[int, str | None] = {}

    async def of(self, uid: int) -> str | None:
        """The user's name; None where there is none, or none in time."""
        if uid not in self._known:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known[uid] = None  # whoever asks meanwhile does not ask once more
            try:
                async with asyncio.timeout(self._patience):
                    self._known[uid] = await asyncio.to_thread(self._ask, uid)
            except TimeoutError:
                return None
        return self._known[uid]

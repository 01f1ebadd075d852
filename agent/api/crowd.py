"""How many connections may be open: newcomers for a moment, callers who are known for longer, nobody all of them."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Collection
from typing import Protocol

PATIENCE = 10.0
"""Seconds that a newcomer may let the agent wait: for its request's header, or to take an answer."""
MOST = 1500
"""Connections of one standing at a time; up to 110 KB of memory each while TLS is being begun."""
EACH = 1000
"""Of these, from one address or, on the Unix socket, of one user. As many may wait while the agent restarts."""
_SHARE = 5
"""No standing may have more than one in so many of the descriptors that the process may open (LimitNOFILE)."""


class Visitor(Protocol):
    """A connection."""

    @property
    def waits(self) -> bool:
        """Whether it is its client's turn: to send a request, or to take an answer."""
        ...

    def dismiss(self) -> None:
        """Close it at once."""
        ...


class Crowd:
    """Connections of one standing. When it is full, the one that came first of where most came from makes room."""

    def __init__(self, most: int = MOST, each: int = EACH, patience: float | None = None) -> None:
        """`patience`, in seconds: after that, one whose client's turn it is goes; None: it may stay."""
        self.limit = min(most, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // _SHARE)
        self._each = min(each, self.limit)
        self._patience = patience
        self._origins: dict[Visitor, str] = {}
        self._present: dict[str, dict[Visitor, asyncio.TimerHandle | None]] = {}

    def __len__(self) -> int:
        return len(self._origins)

    def enter(self, visitor: Visitor, origin: str) -> bool:
        """Whether there is room for it; `origin` is whom it counts for."""
        same = self._present.get(origin, {})
        if len(same) >= self._each and not self._make_room(same):
            return False
        if len(self) >= self.limit and not self._make_room(max(self._present.values(), key=len)):
            return False
        self._origins[visitor] = origin
        self._present.setdefault(origin, {})[visitor] = self._look_later(visitor)
        return True

    def leave(self, visitor: Visitor) -> None:
        """It is gone, or of another standing; one that is not here is fine."""
        origin = self._origins.pop(visitor, None)
        if origin is None:
            return
        same = self._present[origin]
        timer = same.pop(visitor)
        if timer is not None:
            timer.cancel()
        if not same:
            del self._present[origin]

    def _make_room(self, among: Collection[Visitor]) -> bool:
        """Dismiss the first of these whose client's turn it is; False while all are being answered."""
        visitor = next((visitor for visitor in among if visitor.waits), None)
        if visitor is None:
            return False
        self._dismiss(visitor)
        return True

    def _dismiss(self, visitor: Visitor) -> None:
        self.leave(visitor)
        visitor.dismiss()

    def _look_later(self, visitor: Visitor) -> asyncio.TimerHandle | None:
        if self._patience is None:
            return None
        return asyncio.get_running_loop().call_later(self._patience, self._look, visitor)

    def _look(self, visitor: Visitor) -> None:
        if visitor.waits:
            self._dismiss(visitor)
        else:  # it is being answered: the refusal may be its end
            self._present[self._origins[visitor]][visitor] = self._look_later(visitor)

"""A failure that is tried again all the time: told once it lasts, again for each new reason, and when it is over."""

from __future__ import annotations

REASONS = 5
"""So many different ones are told."""


class Outage:
    """One time of trouble, since `began`; times are monotonic seconds."""

    def __init__(self, began: float, reasons: int = REASONS) -> None:
        """`reasons`: so many different ones are told; one, where they are somebody else's words."""
        self.began = began
        self._reasons = reasons
        self._told: set[str] = set()

    def worth_telling(self, reason: str, now: float, patience: float) -> bool:
        """Whether people should hear now that it fails for this reason: before `patience`, it may mend itself."""
        if now - self.began < patience or reason in self._told or len(self._told) == self._reasons:
            return False
        self._told.add(reason)
        return True

    def end(self) -> bool:
        """Whether people should hear that it is over, as they heard that it is not; only once."""
        told, self._told = bool(self._told), set()
        return told

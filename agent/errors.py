"""Kinds of failure; they know nothing of HTTP (`api/envelope.py` gives each its status)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


class AgentError(Exception):
    """An expected failure: `reason` is one sentence for a person, `code` a stable word for a program."""

    default_code: ClassVar[str] = "error"

    def __init__(
        self,
        reason: str,
        *,
        code: str | None = None,
        data: Any = None,
        fields: Sequence[FieldError] = (),
        beside: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code or self.default_code
        self.data = data
        """Partial results, where there are some."""
        self.fields = tuple(fields)
        self.beside = dict(beside or {})
        """What else stands beside `data` in the answer, for example `meta`."""


class FieldError(Exception):
    """One field of a body, or one key of a file, that is not as it must be."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class Malformed(AgentError):
    """The request cannot be understood at all (not JSON, not an object)."""

    default_code = "malformed"


class Invalid(AgentError):
    """The request is understood, and its values are not allowed."""

    default_code = "invalid"


class Unauthenticated(AgentError):
    """No token, or one that proves nothing."""

    default_code = "unauthenticated"


class Denied(AgentError):
    """The caller is known, or not known, and in either case may not do this."""

    default_code = "denied"


class NotFound(AgentError):
    """There is no such thing."""

    default_code = "not-found"


class MethodNotAllowed(AgentError):
    """The path exists, the method does not; `allowed` lists those that do."""

    default_code = "method-not-allowed"

    def __init__(self, reason: str, allowed: Sequence[str]) -> None:
        super().__init__(reason)
        self.allowed = tuple(allowed)


class Conflict(AgentError):
    """The present state forbids it."""

    default_code = "conflict"


class Stale(AgentError):
    """The caller's precondition (If-Match) no longer holds."""

    default_code = "stale"


class TooLarge(AgentError):
    """A body over the limit."""

    default_code = "too-large"


class Failed(AgentError):
    """Something outside was asked and did not manage, such as a systemd job."""

    default_code = "failed"


class Unavailable(AgentError):
    """A dependency (D-Bus, database, file store, quorum) is away; trying later may help."""

    default_code = "unavailable"


class TimedOut(AgentError):
    """Something outside was asked and has not answered in time."""

    default_code = "timeout"

"""Requests, counted as they are answered, in plain numbers: what GET /metrics cannot read later."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from aiohttp import web

from agent.errors import AgentError, Denied, Unauthenticated, Unavailable
from agent.histogram import Histogram

SECONDS = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0)
"""Seconds that answers are counted by."""
NO_ROUTE = "none"
"""Stands for the route where none was found: what strangers ask for must not become a label."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_OTHER = "other"
_MOST_REASONS = 64
"""So many codes of refusals are told apart; there are fewer, and one that another head sent is none of them."""


class Answered:
    """The answers of one route to one method."""

    __slots__ = ("statuses", "took")

    def __init__(self) -> None:
        self.statuses: dict[int, int] = {}
        """How many had each HTTP status."""
        self.took = Histogram(SECONDS)
        """How long they took, but for streams, which last as long as they are wanted."""


class Traffic:
    """What has been asked and answered since the agent started."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.taken = 0
        """Bytes that the bodies may have which are being read for the holders of tokens."""
        self.answered: dict[tuple[str, str], Answered] = {}
        """By the route's path in the table, and the method."""
        self.refused: dict[str, int] = {}
        """Callers that were not let in, by the stable word of the refusal."""
        self.received = 0
        self.sent = 0
        """Bytes of bodies."""
        self.connections: Callable[[], Mapping[str, int]] = dict
        """How many are open, by what is known of who is behind them."""

    @contextmanager
    def taking(self, size: int, most: int) -> Iterator[None]:
        """Read a body of at most `size` bytes meanwhile; raises Unavailable where all together could exceed `most`."""
        if self.taken + size > most:
            raise Unavailable("callers with tokens send more than is taken at a time: try again", code="crowded")
        self.taken += size
        try:
            yield
        finally:
            self.taken -= size

    def note(
        self,
        path: str | None,
        request: web.BaseRequest,
        response: web.StreamResponse,
        took: float,
        failed: AgentError | None = None,
    ) -> None:
        """Count an answer that took so many seconds and is about to be sent, or is a stream that was.

        `path`: that of the route, as it stands in the table; None where none was found.
        """
        method = request.method
        if path is None:
            path, method = NO_ROUTE, method if method in _METHODS else _OTHER
        answered = self.answered.get((path, method))
        if answered is None:
            answered = self.answered[path, method] = Answered()
        answered.statuses[response.status] = answered.statuses.get(response.status, 0) + 1
        self.received += request.content.total_bytes
        if isinstance(response, web.Response):
            answered.took.note(took)
            if method != "HEAD" and isinstance(response.body, bytes):
                self.sent += len(response.body)
        if failed is not None and isinstance(failed, (Denied, Unauthenticated)):
            self._refuse(failed.code)

    def _refuse(self, code: str) -> None:
        known = code in self.refused or len(self.refused) < _MOST_REASONS
        code = code if known else _OTHER
        self.refused[code] = self.refused.get(code, 0) + 1

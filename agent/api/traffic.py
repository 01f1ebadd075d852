"""Requests, counted as they are answered: what GET /metrics cannot read later. Plain numbers, as it is done each time."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from agent.api.call import Route
from agent.errors import AgentError, Denied, Unauthenticated
from agent.histogram import Histogram

SECONDS = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0)
"""Seconds that answers are counted by."""
NO_ROUTE = "none"
"""Stands for the route where none was found: what strangers ask for must not become a label."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_OTHER = "other"
_MOST_REASONS = 64
"""So many codes of refusals are told apart; there are fewer, and one that another head sent is none of them."""


class Traffic:
    """What has been asked and answered since the agent started."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.answered: dict[tuple[str, str, int], int] = {}
        """By the route's path in the table, the method and the HTTP status."""
        self.took: dict[tuple[str, str], Histogram] = {}
        """By path and method, but for streams, which last as long as they are wanted."""
        self.refused: dict[str, int] = {}
        """Callers that were not let in, by the stable word of the refusal."""
        self.received = 0
        self.sent = 0
        """Bytes of bodies."""
        self.connections: Callable[[], Mapping[str, int]] = dict
        """How many are open, by what is known of who is behind them."""

    def note(self, route: Route | None, method: str, status: int, took: float | None) -> None:
        """Count an answer; `took` is None for a stream."""
        if route is None:
            path, method = NO_ROUTE, method if method in _METHODS else _OTHER
        else:
            path = route.path
        key = path, method, status
        self.answered[key] = self.answered.get(key, 0) + 1
        if took is not None:
            histogram = self.took.get((path, method))
            if histogram is None:
                histogram = self.took[path, method] = Histogram(SECONDS)
            histogram.note(took)

    def note_refusal(self, failed: AgentError) -> None:
        """Count a caller that was not let in."""
        if isinstance(failed, Denied | Unauthenticated):
            known = failed.code in self.refused or len(self.refused) < _MOST_REASONS
            code = failed.code if known else _OTHER
            self.refused[code] = self.refused.get(code, 0) + 1

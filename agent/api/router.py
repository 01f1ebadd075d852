"""Finding the row of the route table for a request: static paths first, then those with parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.api.call import Route
from agent.errors import MethodNotAllowed, NotFound

PREFIX = "/api/v1"
"""The canonical mount; the same routes also answer without it, as the specification prints them."""

_NO_PARAMETERS: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class _Parametric:
    pattern: re.Pattern[str]
    rows: dict[str, Route]


class Router:
    """The table, arranged for look-up. HEAD is answered wherever GET is."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._static: dict[str, dict[str, Route]] = {}
        parametric: dict[str, dict[str, Route]] = {}
        for route in routes:
            place = parametric if "{" in route.path else self._static
            rows = place.setdefault(route.path, {})
            if route.method in rows:
                raise ValueError(f"{route.method} {route.path} stands twice in the route table")
            rows[route.method] = route
            if route.method == "GET":
                rows["HEAD"] = route
        self._parametric = [_Parametric(_pattern(path), rows) for path, rows in parametric.items()]
        self._static.update({PREFIX + path: rows for path, rows in list(self._static.items())})

    def find(self, method: str, path: str) -> tuple[Route, Mapping[str, str]]:
        """The row and the parts of the path that it names; raises NotFound or MethodNotAllowed."""
        rows, params = self._rows(path)
        route = rows.get(method)
        if route is None:
            raise MethodNotAllowed(f"{method[:20]} is not a method of this path", self.allowed(rows))
        return route, params

    def methods(self, path: str) -> list[str]:
        """The methods that a path has, for OPTIONS; raises NotFound."""
        return self.allowed(self._rows(path)[0])

    @staticmethod
    def allowed(rows: Mapping[str, Route]) -> list[str]:
        """The methods of one path's rows, OPTIONS included, in a steady order."""
        return sorted({*rows, "OPTIONS"})

    def _rows(self, path: str) -> tuple[dict[str, Route], Mapping[str, str]]:
        if rows := self._static.get(path):
            return rows, _NO_PARAMETERS
        bare = path.removeprefix(PREFIX)
        for candidate in self._parametric:
            if found := candidate.pattern.fullmatch(bare):
                return candidate.rows, found.groupdict()
        raise NotFound("there is nothing at this path: GET /openapi.json lists what there is", code="no-such-path")


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", path)
    text = "".join(f"(?P<{part}>[^/]+)" if i % 2 else re.escape(part) for i, part in enumerate(parts))
    return re.compile(text)

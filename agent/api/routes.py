"""The route table: the whole HTTP surface with its access rules. Mounted with and without /api/v1."""

from __future__ import annotations

from agent.api.call import Route

ROUTES: tuple[Route, ...] = ()

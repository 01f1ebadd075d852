"""The route table: the whole HTTP surface with its access rules. Mounted with and without /api/v1."""

from __future__ import annotations

from agent.api.call import Route
from agent.api.routes.cluster import ACCESS, BETWEEN_HEADS, HEADS
from agent.api.routes.head import AROUND, FILES, SERVICES
from agent.api.routes.records import DATABASE, OBJECTS

ROUTES: tuple[Route, ...] = (
    *HEADS,
    *OBJECTS,
    *SERVICES,
    *FILES,
    *DATABASE,
    *BETWEEN_HEADS,
    *ACCESS,
    *AROUND,
)

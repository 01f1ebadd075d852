"""GET /metrics: a text for Prometheus, and so not in the envelope; its failures are."""

from __future__ import annotations

import asyncio
from importlib import import_module

from agent.api.answers import Answers
from agent.api.call import Answer, Call
from agent.api.metrics.reading import read
from agent.api.metrics.table import METRICS
from agent.errors import Invalid

_EXPOSITION = "agent.api.metrics.exposition"


SCRAPED = Answers(data=str, media=("text/plain", "application/openmetrics-text"), fails={Invalid: ("another-head",)})


async def metrics(call: Call) -> Answer:
    """All metrics, in the text format or OpenMetrics, as the Accept header asks."""
    # Not before somebody scrapes: whoever does not should pay with neither time at the start nor memory.
    exposition = await asyncio.to_thread(import_module, _EXPOSITION)
    accept = ",".join(call.request.headers.getall("Accept", []))
    reading = await read(call.rooms)
    figures = [exposition.Figures(metric, list(metric.read(reading))) for metric in METRICS]
    text, kind = await asyncio.to_thread(exposition.expose, figures, accept)
    return Answer(raw=text, headers={"Content-Type": kind})

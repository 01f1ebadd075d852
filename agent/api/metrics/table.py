"""All metrics of the agent's own; prometheus-client adds those of the process and of Python's garbage collector."""

from __future__ import annotations

from agent.api.metrics.database import DATABASE
from agent.api.metrics.files import FILES
from agent.api.metrics.heads import HEADS
from agent.api.metrics.http import HTTP
from agent.api.metrics.metric import Metric
from agent.api.metrics.process import PROCESS
from agent.api.metrics.services import SERVICES

METRICS: tuple[Metric, ...] = (*HEADS, *SERVICES, *FILES, *DATABASE, *HTTP, *PROCESS)

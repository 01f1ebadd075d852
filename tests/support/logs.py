"""The log lines that something writes, as dictionaries."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, MutableMapping
from typing import Any

import structlog

from agent.log import add_request


@contextlib.contextmanager
def log_lines() -> Iterator[list[MutableMapping[str, Any]]]:
    """Collect every line that is logged in the meantime, whatever its level."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("debug"))
    try:
        with structlog.testing.capture_logs(processors=[add_request]) as lines:
            yield lines
    finally:
        structlog.configure(**before)

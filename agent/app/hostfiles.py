"""Root's files that should follow the configuration: told about when they do not."""

from __future__ import annotations

import structlog

from agent import hostfiles
from agent.config import Live

log = structlog.get_logger()


def tell_differences(live: Live) -> None:
    """Say which of root's files no longer follow the configuration; the agent could not write them."""
    found = hostfiles.differences(
        live.config, lambda path: path.read_text(encoding="utf-8"), hostfiles.store_group(live.config.files.root)
    )
    if found:
        log.warning(
            "Static files differ from the configuration",
            files=[str(path) for path in found],
            todo="run `cw-headctl config apply` as root",
        )

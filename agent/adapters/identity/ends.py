"""When the CAs of records end."""

from __future__ import annotations

from datetime import datetime

from agent.adapters.identity.checks import authorities


def authority_ends(ca_pem: str) -> datetime | None:
    """When the first CA of a PEM text ends, the one that issues; None where there is none that can be read."""
    found = authorities(ca_pem)
    return found[0].not_valid_after_utc if found else None

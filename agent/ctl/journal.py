"""What the command itself has changed, without the agent: told in the journal as the agent tells what it did."""

from __future__ import annotations

import os
import pwd
from typing import Any

from agent import journald
from agent.hostfiles import UNIT

IDENTIFIER = "cw-headctl"
"""What this command's own lines are signed with."""
_ABOUT = {"object_systemd_unit": f"{UNIT}.service"}
"""Has `journalctl -u` show root's lines among the agent's; of others it takes none (systemd.journal-fields(7))."""


class Journal:
    """Lines with the fields of the agent's own, and whoever runs the command; a journal that is away is no failure."""

    def __init__(self, path: str = journald.SOCKET) -> None:
        self._path = path

    def info(self, event: str, **facts: Any) -> None:
        """Say what was done."""
        self._send(event, "info", facts)

    def warning(self, event: str, **facts: Any) -> None:
        """Say what was not."""
        self._send(event, "warning", facts)

    def _send(self, event: str, level: str, facts: dict[str, Any]) -> None:
        uid = os.getuid()
        try:
            user = pwd.getpwuid(uid).pw_name
        except KeyError:
            user = str(uid)
        line = journald.line(event, level, {**facts, **_ABOUT, "local_uid": uid, "local_user": user}, IDENTIFIER)
        journald.send(line, self._path)

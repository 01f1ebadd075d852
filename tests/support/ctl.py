"""cw-headctl as a process of its own, off a terminal, against a written agent."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
ONE, TWO, THREE = ("1" * 32, "2" * 32, "3" * 32)


def ctl(socket: Path, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """What the command came to."""
    command = [sys.executable, "-m", "agent.ctl", "--socket", str(socket), *words]
    return subprocess.run(command, cwd=ROOT, input=stdin, capture_output=True, text=True, timeout=30, check=False)


def head(uid: str, name: str, **more: Any) -> dict[str, Any]:
    """A head as GET /heads shows it."""
    times = {"last_seen": "2026-11-24T00:00:00.000Z", "since": "2026-11-24T00:00:00.000Z"}
    told = {"uid": uid, "description": name, "state": "up", "heard_by": {}, "url": f"https://{name}.site:52390"}
    return {**told, **times, **more}


THREE_HEADS = {uid: head(uid, name) for uid, name in ((ONE, "rack-a"), (TWO, "rack-b"), (THREE, "rack-c"))}


def service(name: str, status: str = "up", **more: Any) -> dict[str, Any]:
    """A service as GET /head/services shows it."""
    told = {"name": name, "status": status, "enabled": "enabled", "active_state": "active", "since": None}
    return {**told, "description": f"The {name}", **more}

"""What a change of engines leaves behind, finished or cut off.

What held the records is given another name with a time stamp, never removed; copies made on the way are.

Everything here blocks: run it in a thread. Raises OSError.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from agent.adapters.durable import sync
from agent.adapters.etcd.choice import ETCD, Choice

PREFIX = "etcd-"
"""How the names of data directories begin; those put aside have `.before-` in them."""
_ASIDE = ".before-"
_COMPANIONS = ("", "-wal", "-shm", "-journal", ".restored")


def copy_name(choice: Choice) -> str:
    """The file that keeps the records of an etcd for a start without its quorum."""
    return f"copy-{choice.cluster}.db"


def clear_away(state: Path, choice: Choice) -> None:
    """Remove the archives of a change that was cut off; those of a rescue that was begun it still needs."""
    for pattern in ("moving.db*", *(() if choice.rescuing else ("rescued*.db*",))):
        for path in state.glob(pattern):
            path.unlink(missing_ok=True)


def put_aside(state: Path, database: Path, choice: Choice) -> list[Path]:
    """Put aside each data directory, copy and database file that the choice does not name; returns their new names."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    moved = []
    for path in sorted(state.glob(f"{PREFIX}*")):
        if path.is_dir() and path.name != choice.directory and _ASIDE not in path.name:
            moved.append(path.rename(f"{path}{_ASIDE}{stamp}"))
    for path in sorted(state.glob("copy-*.db")):
        if path.name != copy_name(choice):
            moved.append(path.rename(f"{path}{_ASIDE}{stamp}"))
    if choice.engine == ETCD and (os.path.lexists(database) or os.path.lexists(f"{database}.restored")):
        aside = database.with_name(f"{database.name}.before-etcd-{stamp}")
        for suffix in _COMPANIONS:
            companion = database.with_name(database.name + suffix)
            if os.path.lexists(companion):
                companion.rename(aside.with_name(aside.name + suffix))
        moved.append(aside)
        sync(database.parent)
    if moved:
        sync(state)
    return moved

"""Database files in every state that an operator may find them in."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from agent.adapters.sqlite.store import SqliteStore
from agent.model import Kind
from agent.ports import Put

UID = "a" * 32


async def fill(path: Path, records: int = 1) -> None:
    """A sound database at `path`, closed, with some images in it."""
    async with SqliteStore.open(path) as store:
        await store.commit(
            *(
                Put(Kind.IMAGE, f"{n:032d}", {"text": "x" * 500}, f"image{n}", references=[f"files/{n}"])
                for n in range(records)
            )
        )


def execute(path: Path, *statements: str) -> None:
    """Do something to a closed database behind the agent's back."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def value(path: Path, sql: str) -> object:
    """The first column of the first row that a query on a closed database gives."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchone()[0]


def overwrite(path: Path, offset: int, data: bytes) -> None:
    """Write bytes into the middle of a file."""
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def contents(directory: Path) -> dict[str, bytes]:
    """Every file below a directory with what it holds."""
    return {str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file()}

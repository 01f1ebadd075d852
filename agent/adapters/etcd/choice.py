"""Which engine is in force: kept in one file, whose replacement is the moment at which a change of engines happens.

Everything else follows from it: a data directory that it does not name, a configuration of etcd that is not the one
it asks for, a database file while etcd is in force, are what is left of a change that was cut off, and are put aside.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from agent.adapters.durable import replace
from agent.config import Config
from agent.errors import Unavailable

SQLITE, ETCD = "sqlite", "etcd"


class Choice(Struct, frozen=True, omit_defaults=True):
    """The engine in force on this head, and what it takes to start it again."""

    engine: str = SQLITE
    endpoints: tuple[str, ...] = ()
    """Client URLs of etcd members, as they were last known; this head's own first."""
    cluster: str = ""
    """etcd's own id of its cluster: another one under the same URLs is refused."""
    directory: str = ""
    """The data directory of this head's own member, within the state directory; empty: it runs none."""
    token: str = ""
    """etcd's initial-cluster-token."""
    peers: Mapping[str, str] | None = None
    """The members of the cluster that this head's member came into, when it did; None: it began one."""
    rescuing: bool = False
    """A rescue was begun and has not ended."""


def choice_file(directory: Path) -> Path:
    """Where the choice is kept."""
    return directory / "engine.json"


def read(directory: Path) -> Choice:
    """The choice; SQLite where none was ever made. Raises Unavailable when it cannot be read. Blocks."""
    path = choice_file(directory)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Choice)
    except FileNotFoundError:
        return Choice()
    except OSError as err:
        raise Unavailable(f"cannot read {path}: {err.strerror}") from err
    except msgspec.MsgspecError as err:
        raise Unavailable(
            f"cannot use {path}: it is damaged ({str(err)[:100]}). It says which engine holds this head's records: "
            "restore it from a copy of the state directory. Without one remove it: this head then begins on SQLite, "
            "its data directories are put aside, and `cw-headctl database restore` brings a backup's records back"
        ) from err


def write(directory: Path, choice: Choice) -> None:
    """Replace the choice, durable before this returns. Raises Unavailable; then the former one stands. Blocks."""
    replace(choice_file(directory), msgspec.json.encode(choice))


def contradiction(config: Config, choice: Choice) -> str | None:
    """Why the configuration and what is in force cannot both be; None when they can. Of these the agent starts none."""
    if config.etcd.endpoints and config.database.engine == SQLITE:
        return (
            "[etcd] endpoints names an etcd, and [database] engine = sqlite uses none: "
            "remove endpoints, or set engine to etcd"
        )
    if config.database.engine == SQLITE and choice.engine == ETCD:
        return (
            "[database] engine = sqlite, and this head's records are in an etcd: set engine to auto or etcd, "
            "then leave the cluster (`cw-headctl leave`), which brings the records into SQLite"
        )
    if choice.engine == ETCD and choice.directory and config.etcd.endpoints:
        return (
            "[etcd] endpoints names the site's etcd, and this head's records are in an etcd of its own: remove "
            "endpoints, or leave the cluster first"
        )
    return None


def should_found(config: Config, choice: Choice) -> bool:
    """Whether the configuration asks for etcd on a head that is on SQLite."""
    return config.database.engine == ETCD and choice.engine == SQLITE

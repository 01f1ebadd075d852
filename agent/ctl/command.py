"""The row type of the command table, what a row may say, and the arguments that several nouns share."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, NamedTuple


class Reach(Enum):
    """Of which agents a command can be asked."""

    HEADS = "heads"
    """Of any head's, through this one's: what it does is open to known heads."""
    TOKEN = "token"
    """Of another head's with a token only (--token-file)."""
    HERE = "here"
    """Of this head's own only: --head is refused, with where to run it instead."""
    NONE = "none"
    """Of no agent: it works with this machine's files, or opens the connection itself."""


class Argument(NamedTuple):
    """An argument of a command: a positional one, or an option when its name begins with dashes."""

    name: str
    help: str
    metavar: str | None = None
    """What stands for its value in the usage; an option without one is a switch."""
    nargs: str | None = None
    """As argparse has it: "?" for at most one, "+" for one or more."""
    default: Any = None
    required: bool = False
    choices: tuple[str, ...] | None = None
    apart: bool = False
    """Of all such arguments of a command one must be given, and only one."""
    convert: Callable[[str], Any] = str
    """Makes a value of what was typed; raises ArgumentTypeError."""
    short: str | None = None
    """Its other name, of one letter, as "-f"."""
    complete: str | None = None
    """What a shell completes: heads, services, unused, trash, backups, or file for paths."""


DRY_RUN = Argument("--dry-run", "only say what would be done")
CONFIG = Argument(
    "--config",
    "the configuration file (default: %(default)s)",
    "FILE",
    default="/etc/clusterware-head-agent/head-agent.ini",
    complete="file",
)


class Command(NamedTuple):
    """One row of the table: what can be typed, and who does it."""

    path: str
    """The words, such as "heads ls"."""
    run: str
    """The function that does it, as module:function, in agent.ctl; imported when it is needed."""
    summary: str
    """One line, without a full stop: help, completion and the manual have it."""
    reach: Reach
    arguments: tuple[Argument, ...] = ()
    plan: str | None = None
    """The function that says what it would do, as `run`; what it returns is shown and agreed to before."""
    degraded: str | None = None
    """When it ends with status 3, as "one is not up"."""
    default: bool = False
    """Whether its group means it when no more is said."""
    changes: bool = False
    """Whether it changes anything; only what changes nothing can be watched."""
    alone: bool = False
    """Whether it is refused on all heads at once, because that could not be meant."""
    streams: bool = False
    """Whether it writes by itself for as long as it lasts, and returns an exit status in place of an Outcome."""
    root: bool = False
    """Whether only root may."""
    hidden: bool = False
    """Left out of help and manual: for shells, not for people."""

    @property
    def words(self) -> list[str]:
        """The words of the path."""
        return self.path.split()

    @property
    def text(self) -> str:
        """The summary with who may and when it ends with status 3."""
        root = " (root only)" if self.root else ""
        return f"{self.summary}{root}" + (f"; 3 when {self.degraded}" if self.degraded else "")

"""The entry of cw-headctl: arguments, and failures as one line with an exit status."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from agent import __version__
from agent.ctl.client import Exit, Failure

_STATUSES = """\
exit status: 0 done, 1 failed, 2 wrong arguments, 3 degraded (what was asked for shows something to act on),
4 the agent cannot be reached, 5 denied
"""
SOCKET = Path("/run/clusterware-head-agent.sock")
CONFIG = Path("/etc/clusterware-head-agent/head-agent.ini")


def parser() -> argparse.ArgumentParser:
    """The whole command line; each command names the function that does it, as module:function."""
    top = argparse.ArgumentParser(
        prog="cw-headctl",
        description="Operate the ClusterWare head agent of this head.",
        epilog=_STATUSES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    top.add_argument("--socket", type=Path, default=SOCKET, metavar="PATH", help="the agent's socket (%(default)s)")
    top.add_argument("--json", action="store_true", help="print the agent's data as JSON")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    _services(commands)
    _files(commands)
    _database(commands)
    _token(commands)
    _config(commands)
    return top


Commands = argparse._SubParsersAction  # the type has no public name


def _group(commands: Commands[argparse.ArgumentParser], name: str, text: str) -> Commands[argparse.ArgumentParser]:
    group = commands.add_parser(name, help=text, description=text)
    return group.add_subparsers(metavar="COMMAND", required=True)


def _command(commands: Commands[argparse.ArgumentParser], name: str, run: str, text: str) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text, epilog=_STATUSES)
    command.set_defaults(run=run)
    return command


def _services(commands: Commands[argparse.ArgumentParser]) -> None:
    services = _command(
        commands, "services", "services:listing", "List this head's services; 3 when an enabled one is down"
    )
    services.add_argument("action", nargs="?", choices=["ls"], default="ls", help="ls: list them (the default)")


def _files(commands: Commands[argparse.ArgumentParser]) -> None:
    files = _group(commands, "files", "The file store: what is unused, what was removed, bringing it back")
    _command(files, "unused", "files:unused", "List the files that nothing refers to")
    _command(files, "trash", "files:trash", "List the removed files that can be restored")
    restore = _command(files, "restore", "files:restore", "Bring removed files back")
    restore.add_argument("filename", nargs="+", metavar="FILE", help="a name as `cw-headctl files trash` lists it")


def _database(commands: Commands[argparse.ArgumentParser]) -> None:
    database = _group(commands, "database", "The database: its backups, bringing one back")
    _command(database, "backups", "database:backups", "List the backups, the newest first")
    _command(database, "backup", "database:backup", "Make a backup now")
    restore = _command(database, "restore", "database:restore", "Put a backup in the database's place (root only)")
    restore.add_argument("name", metavar="NAME", help="a name as `cw-headctl database backups` lists it")


def _token(commands: Commands[argparse.ArgumentParser]) -> None:
    token = _command(
        commands, "token", "tokens:make", "Make a token for the API, printed on standard output (root only)"
    )
    token.add_argument(
        "--lifespan", required=True, metavar="TIME", help="how long it is valid, such as 30min, 12h or 7d"
    )
    token.add_argument("--permissions", required=True, metavar="A,B", help="for example HeadsRead,ImagesWrite")
    token.add_argument("--subject", metavar="NAME", help="whom it is for; stands in the audit lines (default: root)")


def _config(commands: Commands[argparse.ArgumentParser]) -> None:
    config = _group(commands, "config", "The configuration, and the files of root's that follow it")
    for name, text in (
        ("check", "Say whether the configuration is right and root's files follow it; 3 when they do not"),
        ("apply", "Write the polkit rule and the units' drop-ins that follow the configuration (root only)"),
    ):
        command = _command(config, name, f"config:{name}", text)
        command.add_argument("--config", type=Path, default=CONFIG, metavar="FILE", help="default: %(default)s")


def main(argv: list[str] | None = None) -> int:
    """Do one command; returns the exit status."""
    arguments = parser().parse_args(argv)
    module, _, function = arguments.run.partition(":")
    try:
        return int(getattr(importlib.import_module(f"agent.ctl.{module}"), function)(arguments))
    except Failure as failure:
        print(f"cw-headctl: {failure}", file=sys.stderr)
        return failure.status
    except BrokenPipeError:
        return Exit.OK
    except KeyboardInterrupt:
        return Exit.FAILED


if __name__ == "__main__":
    sys.exit(main())

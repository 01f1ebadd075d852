"""The entry of cw-headctl: arguments, and failures as one line with an exit status."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from agent import __version__
from agent.ctl.client import Agent, Exit, Failure

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
    top.add_argument(
        "--socket", dest="agent", type=Path, default=SOCKET, metavar="PATH", help="the agent's socket (%(default)s)"
    )
    top.add_argument("--head", metavar="UID", help="ask the agent of that head, through this one's")
    top.add_argument("--json", action="store_true", help="print the agent's data as JSON")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    _heads(commands)
    _services(commands)
    _files(commands)
    _database(commands)
    _cluster(commands)
    _token(commands)
    _authority(commands)
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


def _heads(commands: Commands[argparse.ArgumentParser]) -> None:
    heads = _group(commands, "heads", "The heads of the cluster: who is up, who is heard by whom; removing one")
    _command(heads, "ls", "heads:listing", "List the heads, the worst state first; 3 when one is not up")
    show = _command(heads, "show", "heads:show", "Show all that is known of a head; 3 when it is not up")
    show.add_argument("uid", nargs="?", default="self", metavar="UID", help="which head (default: this one)")
    evict = _command(heads, "evict", "heads:evict", "Remove a head that is gone for good, or all that are down")
    which = evict.add_mutually_exclusive_group(required=True)
    which.add_argument("uid", nargs="?", metavar="UID", help="remove this head, whatever its state is")
    which.add_argument("--down", action="store_true", help="remove all heads that are down, and no other")
    evict.add_argument("--dry-run", action="store_true", help="with --down: only say what would be removed")
    evict.add_argument("--force", action="store_true", help="with UID: also when this head hears too few of the others")


def _cluster(commands: Commands[argparse.ArgumentParser]) -> None:
    join = _command(commands, "join", "join:join", "Have this head join a cluster (root only); see token --join")
    join.add_argument("url", metavar="URL", help="where a head of the cluster answers, as https://10.0.0.1:52390")
    token = join.add_mutually_exclusive_group(required=True)
    token.add_argument(
        "--token",
        metavar="TOKEN",
        help="a token of the cluster; every user of this head can see it in the process list",
    )
    token.add_argument("--token-file", metavar="FILE", help="a file with the token, - for standard input")
    join.add_argument("--ca-sha256", required=True, metavar="HASH", help="the SHA-256 of the cluster's CA")
    join.add_argument(
        "--force", action="store_true", help="give up this head's own objects for those of a shared database"
    )
    leave = _command(commands, "leave", "join:leave", "Have this head leave its cluster and go on alone")
    leave.add_argument("--yes", action="store_true", help="do not ask")


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
    database = _group(commands, "database", "The database: its backups, bringing one back, its engine")
    _command(database, "backups", "database:backups", "List the backups, the newest first")
    _command(database, "backup", "database:backup", "Make a backup now")
    _command(database, "migrate", "database:migrate", "Take a single head's records from SQLite to etcd (root only)")
    text = "Go on with this head alone, after etcd's quorum is gone for good (root only)"
    recover = _command(database, "recover", "database:recover", text)
    recover.add_argument("--yes", action="store_true", help="do not ask")
    restore = _command(database, "restore", "database:restore", "Put a backup in the database's place (root only)")
    restore.add_argument("name", metavar="NAME", help="a name as `cw-headctl database backups` lists it")


def _token(commands: Commands[argparse.ArgumentParser]) -> None:
    token = _command(
        commands, "token", "tokens:make", "Make a token for the API, printed on standard output (root only)"
    )
    token.add_argument("--lifespan", metavar="TIME", help="how long it is valid, such as 30min, 12h or 7d")
    what = token.add_mutually_exclusive_group(required=True)
    what.add_argument("--permissions", metavar="A,B", help="for example HeadsRead,ImagesWrite")
    what.add_argument(
        "--join", action="store_true", help="print the whole command that has another head join, with a token for 1h"
    )
    token.add_argument("--subject", metavar="NAME", help="whom it is for; stands in the audit lines (default: root)")


def _authority(commands: Commands[argparse.ArgumentParser]) -> None:
    authority = _group(commands, "ca", "The cluster's CA, which issues the heads' certificates")
    _command(authority, "show", "authority:show", "Which CAs this head believes; 3 while they are being exchanged")
    _command(
        authority,
        "rotate",
        "authority:rotate",
        "Exchange the CA on all heads, for example after a head was compromised and removed (root only)",
    )


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
    arguments.agent = Agent(arguments.agent, arguments.head)
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

"""The command line, made from the command table; the options for every command may stand before or after its words."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Sequence
from typing import NoReturn

from agent import __version__
from agent.ctl.command import Argument, Command
from agent.ctl.commands import COMMANDS, GROUPS
from agent.ctl.outcome import Exit
from agent.ctl.terminal import say, width

STATUSES = """\
exit status: 0 done, 1 failed, 2 wrong arguments, 3 degraded (what was asked for shows something to act on),
4 the agent cannot be reached, 5 denied
"""
SOCKET = "/run/clusterware-head-agent.sock"

WATCH = "2"
"""Seconds from one look to the next where --watch says no number."""


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 86400:
        raise argparse.ArgumentTypeError(f"must be seconds, from 0.1 to 86400, and not {text[:40]}")
    return seconds


OPTIONS: tuple[Argument, ...] = (
    Argument("--json", "print data for programs (see /usr/share/doc/clusterware-head-agent/docs/cw-headctl.md)"),
    Argument(
        "--head",
        "ask the agent of that head, through this one's: its uid, the beginning of it, its description or host name",
        "HEAD",
        complete="heads",
    ),
    Argument("--all-heads", "ask the agents of all heads, through this one's"),
    Argument(
        "--token-file",
        "a file with a token for what another head wants one for, - for standard input",
        "FILE",
        complete="file",
    ),
    Argument("--watch", "show it again every so many seconds (2), until Ctrl-C", "SECONDS", "?", convert=_seconds),
    Argument("--timeout", "how long an answer may take", "SECONDS", convert=_seconds),
    Argument("--yes", "do not ask"),
    Argument("--socket", "the agent's socket (default: %(default)s)", "PATH", default=SOCKET, complete="file"),
)
"""What every command takes."""


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Help as wide as the terminal; argparse makes one for each argument, and would load much to find the width."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=(width(sys.stdout) or 120) - 2)


class _Parser(argparse.ArgumentParser):
    """Tells what is wrong with the arguments in one line, with where help is."""

    def error(self, message: str) -> NoReturn:  # type: ignore[explicit-override]  # typing has no @override yet
        """End with status 2."""
        if found := re.match(r"argument COMMAND: invalid choice: '(.*?)' \(choose", message, re.DOTALL):
            message = f"there is no command '{found[1]}'{self._alike(found[1])}"
        elif message.endswith("required: COMMAND"):
            message = "say which command"
        _refuse(message.removeprefix("argument "), self.prog)

    def _alike(self, typed: str) -> str:
        """What may have been meant, to go on from there."""
        from difflib import get_close_matches  # only for what was mistyped

        above = self.prog.split()[1:]
        words = {row.words[len(above)] for row in COMMANDS if not row.hidden and [*row.words[: len(above)]] == above}
        return "".join(f", perhaps {word}" for word in get_close_matches(typed, words, 1))


def _refuse(why: str, prog: str) -> NoReturn:
    say(f"cw-headctl: {why}: see `{prog} --help`")
    sys.exit(Exit.USAGE)


def parse(words: Sequence[str]) -> argparse.Namespace:
    """What was typed; ends the process with status 2 and the reason when it cannot be."""
    told: list[str] = []
    for word in words:
        if told and told[-1] == "--watch":
            # Else the command's own words would be taken for its number.
            told[-1:] = [f"--watch={word}"] if re.match(r"[0-9.]", word) else [f"--watch={WATCH}", word]
        elif told and re.fullmatch(r"--[a-z-]+", told[-1]) and re.match(r"-[0-9]", word):
            told[-1] += f"={word}"  # as in --since -1h, which is no option of its own
        else:
            told.append(word)
    if told and told[-1] == "--watch":
        told[-1] = f"--watch={WATCH}"
    arguments, left = parser(told).parse_known_args(told)
    if left:
        path = arguments.command.path
        has = f"has no option {left[0]}" if left[0].startswith("-") else f"takes no '{left[0]}'"
        _refuse(f"`{path}` {has}", f"cw-headctl {path}")
    return arguments


def parser(words: Sequence[str] = ()) -> argparse.ArgumentParser:
    """The parser for a command line: commands that it cannot mean are there for its help only, to be quick."""
    top = _Parser(
        prog="cw-headctl",
        description="Operate the ClusterWare head agent of this head.",
        epilog=STATUSES,
        formatter_class=_Formatter,
    )
    top.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    for option in OPTIONS:
        _add(top, option)
    top._positionals.title = "commands"
    firsts = top.add_subparsers(metavar="COMMAND", required=True, prog="cw-headctl")  # else it loads much to find out
    for name in _meant(dict.fromkeys(command.words[0] for command in COMMANDS), words):
        rows = [command for command in COMMANDS if command.words[0] == name]
        text = GROUPS[name] if name in GROUPS else rows[0].text
        if all(row.hidden for row in rows):
            first = firsts.add_parser(name, description=text, formatter_class=_Formatter)
        else:
            first = firsts.add_parser(name, help=text, description=text, epilog=STATUSES, formatter_class=_Formatter)
        if name not in words:
            continue
        _options(first)
        if name in GROUPS:
            _group(first, rows, words)
        else:
            _command(first, rows[0])
    return top


def _meant(names: Iterable[str], words: Sequence[str]) -> list[str]:
    """The names that are typed; all of them where help lists them."""
    helps = any(word in ("-h", "--hel", "--help") for word in words)
    return [name for name in names if helps or name in words]


def _group(first: argparse.ArgumentParser, rows: Sequence[Command], words: Sequence[str]) -> None:
    default = next((row for row in rows if row.default), None)
    if default is not None:
        first.set_defaults(command=default, **{_name(argument): argument.default for argument in default.arguments})
    first._positionals.title = "commands"
    seconds = first.add_subparsers(metavar="COMMAND", required=default is None, prog=first.prog)
    seen = _meant([row.words[1] for row in rows], words)
    for row in (row for row in rows if row.words[1] in seen):
        also = " (the default)" if row.default else ""
        second = seconds.add_parser(
            row.words[1], help=f"{row.text}{also}", description=row.text, epilog=STATUSES, formatter_class=_Formatter
        )
        if row.words[1] in words:
            _options(second)
            _command(second, row)


def _command(parser: argparse.ArgumentParser, row: Command) -> None:
    parser.set_defaults(command=row)
    parser._positionals.title = "arguments"
    apart = parser.add_mutually_exclusive_group(required=True) if any(a.apart for a in row.arguments) else None
    for argument in row.arguments:
        _add(apart if apart is not None and argument.apart else parser, argument)


def _options(parser: argparse.ArgumentParser) -> None:
    """The options again, behind the words: only one that is given there counts."""
    group = parser.add_argument_group("options of every command")
    for option in OPTIONS:
        _add(group, option._replace(help=option.help.replace("%(default)s", str(option.default))), argparse.SUPPRESS)


def _add(where: argparse._ActionsContainer, argument: Argument, default: object = None) -> None:
    """Add an argument; `default` takes the place of its own."""
    given = argument.default if default is None else default
    option = argument.name.startswith("-")
    names = [argument.name, *([argument.short] if argument.short else [])]
    if option and argument.metavar is None:
        where.add_argument(*names, action="store_true", help=argument.help, default=given or False)
        return
    more = {"required": argument.required} if option else {}
    where.add_argument(
        *names,
        help=argument.help,
        metavar=argument.metavar,
        nargs=argument.nargs,
        choices=argument.choices,
        type=argument.convert,
        default=given,
        **more,  # type: ignore[arg-type]  # a positional argument knows no such word at all
    )


def _name(argument: Argument) -> str:
    return argument.name.lstrip("-").replace("-", "_")

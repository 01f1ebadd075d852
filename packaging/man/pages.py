"""The manual pages, made from what the programs themselves are made from: pages.py DIRECTORY writes them there.

clusterware-head-agent(8) from the daemon's own arguments, cw-headctl(8) from the command table, head-agent.ini(5) from
the sections of the configuration. Their date is that of $SOURCE_DATE_EPOCH. It needs Python alone.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from agent import __main__ as daemon  # the checkout's own, wherever this is called from
from agent import __version__
from agent.config.sections import SECTIONS, keys
from agent.config.values import as_text
from agent.ctl.command import Argument, Command
from agent.ctl.commands import COMMANDS, GROUPS
from agent.ctl.outcome import Exit
from agent.ctl.parser import OPTIONS

CONFIG = "/etc/clusterware-head-agent/head-agent.ini"
DOCUMENTS = "/usr/share/doc/clusterware-head-agent/docs/"
STATUSES = {
    Exit.OK: "Done.",
    Exit.FAILED: "Failed; standard error says why and what to do.",
    Exit.USAGE: "Wrong arguments.",
    Exit.DEGRADED: "Degraded: what was asked for shows something to act on. Each command says when.",
    Exit.UNREACHABLE: "The agent cannot be reached.",
    Exit.DENIED: "Denied: become root, or a member of the group clusterware-admin.",
}


def escaped(text: str) -> str:
    """Text for roff: nothing in it is a request or an escape, and every hyphen can be copied as a minus."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^(?=[.'])", r"\\&", text, flags=re.MULTILINE)


def prose(text: str) -> str:
    """A sentence or more, with what stands between backticks in bold; sentences on lines of their own."""
    parts = escaped(re.sub(r"(?<=[.:;]) (?=[A-Z])", "\n", text)).split("`")
    return "".join(f"\\fB{part}\\fR" if number % 2 else part for number, part in enumerate(parts))


def head(name: str, section: int, about: str) -> Iterator[str]:
    """The beginning of a page."""
    moment = datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH") or 0), UTC)
    yield '.\\" Made by packaging/man/pages.py.'
    yield f'.TH {name.upper()} {section} {moment:%Y-%m-%d} "ClusterWare head agent {__version__}"'
    yield from (".nh", ".ad l")  # a name that is broken at the end of a line cannot be copied
    yield from (".SH NAME", f"{escaped(name)} \\- {escaped(about)}")


def item(tag: str, text: str) -> Iterator[str]:
    """A tagged paragraph; the tag is roff already."""
    yield from (".TP", tag, prose(text))


def daemon_page() -> Iterator[str]:
    """clusterware-head-agent(8)."""
    parser = daemon.parser()
    yield from head(parser.prog, 8, "supervises a ClusterWare head node")
    yield from (".SH SYNOPSIS", f".B {escaped(parser.prog)}")
    for action in parser._actions:
        value = f" \\fI{action.metavar}\\fR" if action.metavar else ""
        yield f"[\\fB{escaped(action.option_strings[-1])}\\fR{value}]"
    yield from (".SH DESCRIPTION", prose(str(parser.description)))
    yield prose(
        "It answers other heads over TLS and operators on a Unix socket, mostly through `cw-headctl`. systemd runs it: "
        "`systemctl start clusterware-head-agent`. What it says is in the journal, with what to do: "
        "`journalctl -x -u clusterware-head-agent`."
    )
    yield ".SH OPTIONS"
    for action in parser._actions:
        value = f" \\fI{action.metavar}\\fR" if action.metavar else ""
        names = ", ".join(f"\\fB{escaped(name)}\\fR{value}" for name in action.option_strings)
        told = (action.help or "").replace("%(default)s", str(action.default))
        yield from item(names, sentence(told))
    yield ".SH EXIT STATUS"
    for part in str(parser.epilog).removeprefix("Exit status: ").rstrip(".").split(", "):
        status, _, text = part.partition(" ")
        yield from item(f"\\fB{status}\\fR", sentence(text))
    yield ".SH SIGNALS"
    yield from item("\\fBSIGTERM\\fR, \\fBSIGINT\\fR", "Stop in order, without dropping a request.")
    yield from item("\\fBSIGHUP\\fR", "Read the configuration again; what needs a restart is named in the journal.")
    yield ".SH FILES"
    yield from item(f"\\fI{escaped(CONFIG)}\\fR", "The configuration.")
    yield from item("\\fI/run/clusterware\\-head\\-agent.sock\\fR", "The operators' socket.")
    yield from item("\\fI/var/lib/clusterware\\-head\\-agent/\\fR", "Database, backups and certificates.")
    yield from documents()
    yield from also("cw-headctl(8)", "head-agent.ini(5)", "systemd.service(5)")


def command_page() -> Iterator[str]:
    """cw-headctl(8)."""
    shown = [command for command in COMMANDS if not command.hidden]
    yield from head("cw-headctl", 8, "operate the ClusterWare head agent")
    yield from (".SH SYNOPSIS", ".B cw\\-headctl", "[\\fIOPTION\\fR...] \\fICOMMAND\\fR [\\fIARGUMENT\\fR...]")
    yield from (".SH DESCRIPTION", "Asks the agent of this head over its Unix socket, and through it those of others.")
    yield "What would be removed or changed for good is shown first, with counts and bytes, and agreed to."
    yield ".SH COMMANDS"
    for first in dict.fromkeys(command.words[0] for command in shown):
        yield from (f".SS {escaped(first)}", sentence(prose(GROUPS[first]))) if first in GROUPS else (f".SS {first}",)
        for command in (command for command in shown if command.words[0] == first):
            yield from described(command)
    yield from (".SH OPTIONS", "Before the command or behind it:")
    for option in OPTIONS:
        yield from argument(option)
    yield from item("\\fB\\-\\-version\\fR", "Print the version.")
    yield from item("\\fB\\-h\\fR, \\fB\\-\\-help\\fR", "Print help, also behind a command.")
    yield ".SH EXIT STATUS"
    for status, text in STATUSES.items():
        yield from item(f"\\fB{status.value}\\fR", text)
    yield ".SH ENVIRONMENT"
    yield from item("\\fBNO_COLOR\\fR", "Set to anything, there are no colours. There are none off a terminal anyway.")
    yield ".SH FILES"
    yield from item("\\fI/run/clusterware\\-head\\-agent.sock\\fR", "The agent's socket.")
    yield from documents()
    yield from also("clusterware-head-agent(8)", "head-agent.ini(5)", "journalctl(1)")


def described(command: Command) -> Iterator[str]:
    """One command with its arguments."""
    words = f"\\fBcw\\-headctl {escaped(command.path)}\\fR"
    yield from item(
        " ".join([words, *map(usage, command.arguments)]),
        sentence(command.text.replace("; 3 when", "; exit status 3 when")),
    )
    if command.default:
        yield f"This is what \\fBcw\\-headctl {escaped(command.words[0])}\\fR means."
    if command.arguments:
        yield ".RS"
        for one in command.arguments:
            yield from argument(one)
        yield ".RE"


def usage(argument: Argument) -> str:
    """An argument as the usage shows it."""
    value = f"\\fI{escaped(argument.metavar)}\\fR" if argument.metavar else ""
    if not argument.name.startswith("-"):
        text = value or f"\\fI{escaped(argument.name.upper())}\\fR"
        return {"?": f"[{text}]", "*": f"[{text}...]", "+": f"{text}..."}.get(argument.nargs or "", text)
    text = f"\\fB{escaped(argument.name)}\\fR" + (f" {value}" if value else "")
    return text if argument.required else f"[{text}]"


def argument(one: Argument) -> Iterator[str]:
    """An argument, explained."""
    value = f" \\fI{escaped(one.metavar)}\\fR" if one.metavar and one.name.startswith("-") else ""
    if one.nargs == "?" and value:
        value = f" [{value.strip()}]"
    short = f"\\fB{escaped(one.short)}\\fR, " if one.short else ""
    tag = f"{short}\\fB{escaped(one.name)}\\fR{value}"
    if not one.name.startswith("-"):
        tag = f"\\fI{escaped(one.metavar or one.name.upper())}\\fR"
    text = one.help.replace("%(default)s", str(one.default))
    if one.choices:
        text += f": {', '.join(one.choices)}"
    yield from item(tag, sentence(text))


def configuration_page() -> Iterator[str]:
    """head-agent.ini(5)."""
    yield from head("head-agent.ini", 5, "configuration of the ClusterWare head agent")
    yield from (".SH SYNOPSIS", f".I {escaped(CONFIG)}", ".SH DESCRIPTION")
    yield prose(
        "Sections in brackets, below each its keys as `key = value`. A key that is left out has its default; one that "
        "there is not is refused by name. `clusterware-head-agent --check-config` says whether a file is right, "
        "`systemctl reload clusterware-head-agent` takes it over, and `cw-headctl config apply` has the files that "
        "follow it written."
    )
    for name, section in SECTIONS.items():
        yield from (f'.SH "[{escaped(name)}]"', prose(str(section.__doc__)))
        for spec in keys(name).values():
            kind = spec.metadata["kind"]
            default = as_text(kind, spec.default)
            restart = " It takes effect at the next restart." if spec.metadata["restart"] else ""
            yield from item(f"\\fB{escaped(spec.name)}\\fR", str(spec.metadata["meaning"]))
            yield from (".br", prose(f"Allowed: {kind.allowed}.{restart}"))
            yield from (".br", f"Default: \\fB{escaped(default)}\\fR" if default else "Default: empty.")
    yield from also("clusterware-head-agent(8)", "cw-headctl(8)")


def sentence(text: str) -> str:
    """With a capital and a full stop."""
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith((".", "?")) else ".")


def documents() -> Iterator[str]:
    """Where more is written."""
    told = "How to operate the agent, form a cluster, upgrade, talk to it by programs: `README.md` there is the index."
    yield from item(f"\\fI{escaped(DOCUMENTS)}\\fR", told)


def also(*pages: str) -> Iterator[str]:
    """Where to read on."""
    yield ".SH SEE ALSO"
    for number, page in enumerate(pages, 1):
        name, _, section = page.partition("(")
        yield f".BR {escaped(name)} ({section}" + (" ," if number < len(pages) else "")


def write(directory: Path, name: str, lines: Iterable[str]) -> None:
    """Write one page; whoever reads it meanwhile finds it whole."""
    fresh = directory / f".{name}.{os.getpid()}"
    fresh.write_text("\n".join(lines) + "\n", encoding="utf-8")
    fresh.replace(directory / name)


if __name__ == "__main__":
    place = Path(sys.argv[1])
    place.mkdir(parents=True, exist_ok=True)
    write(place, "clusterware-head-agent.8", daemon_page())
    write(place, "cw-headctl.8", command_page())
    write(place, "head-agent.ini.5", configuration_page())

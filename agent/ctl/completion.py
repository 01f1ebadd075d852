"""Completion for bash and zsh: the scripts, made from the command table, and what they ask for while one types."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any

from agent.ctl.client import Agent, ask
from agent.ctl.command import Argument, Command
from agent.ctl.commands import COMMANDS, GROUPS
from agent.ctl.outcome import Failure, Outcome
from agent.ctl.parser import OPTIONS

_QUICK = 3.0
"""Seconds that somebody waits who has pressed the tabulator."""


def words(arguments: argparse.Namespace) -> Outcome:
    """What can stand in a place: one word per line, nothing where the agent cannot say."""
    agent: Agent = arguments.agent._replace(timeout=_QUICK)
    try:
        found = _KINDS[arguments.kind](agent)
    except (Failure, KeyError, TypeError):
        found = []
    return Outcome(found, lines=[word for word in found if word.isprintable()])


def _heads(agent: Agent) -> list[str]:
    heads: dict[str, Any] = ask(agent._replace(head=None), "GET", "/heads", doing="list the heads").data
    called = [head["description"] for head in heads.values() if head["description"] and " " not in head["description"]]
    return [*heads, *(name for name in called if called.count(name) == 1)]


def _field(route: str, name: str) -> Callable[[Agent], list[str]]:
    return lambda agent: [row[name] for row in ask(agent, "GET", route, doing="complete").data]


_KINDS: dict[str, Callable[[Agent], list[str]]] = {
    "heads": _heads,
    "services": _field("/head/services", "name"),
    "unused": _field("/head/files/unused", "filename"),
    "trash": _field("/head/files/trash", "filename"),
    "backups": _field("/database/backups", "name"),
}
KINDS = tuple(_KINDS)
"""What the command itself can complete; shells complete files by themselves."""


def bash() -> str:
    """The script for bash."""
    return _filled(_BASH, _bash_words)


def zsh() -> str:
    """The script for zsh."""
    return _filled(_ZSH, _zsh_words)


def _filled(script: str, words: Callable[[list[tuple[str, str]]], str]) -> str:
    """A script with the table's words in their places."""
    firsts = [(name, GROUPS[name] if name in GROUPS else _row(name).summary) for name in _names()]
    everywhere = [(option.name, option.help.split(" (default")[0]) for option in OPTIONS] + [
        ("--help", "Show the help")
    ]
    valued = {a.name: a for a in (*OPTIONS, *(a for row in _shown() for a in row.arguments)) if a.metavar}
    options = {name: argument for name, argument in valued.items() if name.startswith("-")}
    kinds = "".join(
        f"        {name}) kind={option.complete or 'none'} ;;\n"
        for name, option in options.items()
        if name != "--watch"
    )
    return (
        script.replace("@FIRSTS@", words(firsts))
        .replace("@OPTIONS@", words(everywhere))
        .replace("@GROUPS@", "|".join(GROUPS))
        .replace("@VALUED@", "|".join(sorted(name for name in options if name != "--watch")))
        .replace("        @KINDS@\n", kinds)
        .replace("        @CASES@\n", "".join(_cases(words)))
    )


def _cases(words: Callable[[list[tuple[str, str]]], str]) -> Iterator[str]:
    """For each command, and each group, what can follow."""
    for name in GROUPS:
        rows = [row for row in _shown() if row.words[0] == name]
        seconds = words([(row.words[1], row.summary) for row in rows])
        default = next((row for row in rows if row.default), None)
        yield f"        '{name}') nouns={seconds}; options={_options(default, words)} ;;\n"
    for row in _shown():
        positional = next((a for a in row.arguments if not a.name.startswith("-")), None)
        kind = positional.complete or "none" if positional else "none"
        yield f"        '{row.path}') options={_options(row, words)}; kind={kind} ;;\n"


def _options(row: Command | None, words: Callable[[list[tuple[str, str]]], str]) -> str:
    told = row.arguments if row else ()
    return words([(a.name, _plain(a)) for a in told if a.name.startswith("-")])


def _plain(argument: Argument) -> str:
    return argument.help.replace("%(default)s", str(argument.default))


def _names() -> list[str]:
    return list(dict.fromkeys(row.words[0] for row in _shown()))


def _row(path: str) -> Command:
    return next(row for row in COMMANDS if row.path == path)


def _shown() -> list[Command]:
    return [row for row in COMMANDS if not row.hidden]


def _bash_words(told: list[tuple[str, str]]) -> str:
    return f"({' '.join(word for word, _ in told)})"


def _zsh_words(told: list[tuple[str, str]]) -> str:
    def quoted(word: str, text: str) -> str:
        return "'" + f"{word}:{text}".replace("'", "'\\''") + "'"

    return f"({' '.join(quoted(word, text) for word, text in told)})"


_BASH = r"""# bash completion of cw-headctl; made by `python -m tests.support.completion_files` from the command table.

_cw_headctl() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local path= kind= word i ends=
    local -a nouns=() options=() asked=() candidates=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        case $word in
        --) ends=yes ;;
        @VALUED@)
            [[ ${COMP_WORDS[i + 1]} == = ]] && ((i++))
            ((i + 1 < COMP_CWORD)) && case $word in
            --head|--socket) asked+=("$word" "${COMP_WORDS[i + 1]}") ;;
            esac
            ((i++)) ;;
        --watch) [[ ${COMP_WORDS[i + 1]} == [0-9]* ]] && ((i++)) ;;
        -*) ;;
        *)
            case $path in
            '') path=$word ;;
            @GROUPS@) path="$path $word" ;;
            esac ;;
        esac
    done
    case $path in
        '') nouns=@FIRSTS@ ;;
        @CASES@
    esac
    if [[ $current == = ]]; then
        current=
    elif [[ $previous == = ]]; then
        previous=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    case $previous in
        @KINDS@
        *) previous= ;;
    esac
    if [[ $current == -* && -z $previous && -z $ends ]]; then
        candidates=("${options[@]}")
        candidates+=@OPTIONS@
    elif [[ $kind == file ]]; then
        compopt -o filenames 2> /dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
    else
        candidates=("${nouns[@]}")
        [[ -n $previous ]] && candidates=()
        if [[ -n $kind && $kind != none ]]; then
            mapfile -t -O "${#candidates[@]}" candidates < <(cw-headctl "${asked[@]}" complete "$kind" 2> /dev/null)
        fi
    fi
    # Not with compgen -W, which would run what a file's name has in $(...).
    COMPREPLY=()
    for word in "${candidates[@]}"; do
        [[ $word == "${current//\\/}"* ]] && COMPREPLY+=("$(printf %q "$word")")
    done
}
complete -F _cw_headctl cw-headctl
"""

_ZSH = r"""#compdef cw-headctl
# zsh completion of cw-headctl; made by `python -m tests.support.completion_files` from the command table.

local current=${words[CURRENT]} previous=${words[CURRENT-1]} typed_path= kind= typed ends=
local -a typed_words=("${words[@]}") nouns=() options=() asked=() found=()
integer i
for ((i = 2; i < CURRENT; i++)); do
    typed=${typed_words[i]}
    case $typed in
    --) ends=yes ;;
    @VALUED@)
        if ((i + 1 < CURRENT)); then
            case $typed in
            --head|--socket) asked+=("$typed" "${(Q)typed_words[i+1]}") ;;
            esac
        fi
        ((i++)) ;;
    --watch) [[ ${typed_words[i+1]} == [0-9]* ]] && ((i++)) ;;
    -*) ;;
    *)
        case $typed_path in
        '') typed_path=$typed ;;
        @GROUPS@) typed_path="$typed_path $typed" ;;
        esac ;;
    esac
done
case $typed_path in
        '') nouns=@FIRSTS@ ;;
        @CASES@
esac
case $previous in
        @KINDS@
        *) previous= ;;
esac
if [[ $current == -* && -z $previous && -z $ends ]]; then
    options+=@OPTIONS@
    _describe -o option options
elif [[ $kind == file ]]; then
    _files
else
    [[ -n $previous ]] && nouns=()
    (( ${#nouns} )) && _describe command nouns
    if [[ -n $kind && $kind != none ]]; then
        found=("${(@f)$(cw-headctl "${asked[@]}" complete "$kind" 2> /dev/null)}")
        [[ -n ${found[1]} ]] && compadd -a found
    fi
fi
"""

"""The command table, row by row: each can be typed, names a function that exists, and says what it does."""

from __future__ import annotations

import importlib
import inspect

import pytest

from agent.ctl.command import Argument, Command
from agent.ctl.commands import COMMANDS, GROUPS
from agent.ctl.parser import OPTIONS, parser

rows = pytest.mark.parametrize("row", COMMANDS, ids=lambda row: row.path)


def typed(row: Command) -> list[str]:
    """The fewest words that make this command."""
    words = list(row.words)
    one_of = next((a for a in row.arguments if a.apart and a.name.startswith("-")), None)
    for argument in (a for a in row.arguments if a.required or a is one_of or _positional(a)):
        words += [argument.name] if argument.name.startswith("-") else []
        words += [argument.choices[0] if argument.choices else "x"] if argument.metavar else []
    return words


def _positional(argument: Argument) -> bool:
    return not argument.name.startswith("-") and argument.nargs in (None, "+")


@rows
def test_a_row_can_be_typed_and_names_a_function(row: Command) -> None:
    words = typed(row)
    assert parser(words).parse_args(words).command is row
    module, _, name = row.run.partition(":")
    function = getattr(importlib.import_module(f"agent.ctl.{module}"), name)
    assert inspect.getdoc(function)


@rows
def test_a_row_says_what_it_does_in_one_line(row: Command) -> None:
    assert row.summary[0].isupper()
    assert row.summary[-1] not in ".;:"
    assert len(row.summary) <= 100
    assert all(argument.help for argument in row.arguments)


@rows
@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_an_option_for_all_stands_before_or_after_the_words(row: Command, option: Argument) -> None:
    words = typed(row)
    given = [option.name, "7"] if option.metavar else [option.name]
    if option.name in {argument.name for argument in row.arguments}:
        return
    name = option.name.lstrip("-").replace("-", "_")
    parse = parser(words).parse_args
    plain, before, after = (getattr(parse(line), name) for line in (words, [*given, *words], [*words, *given]))
    assert before == after != plain


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_has_at_most_one_command_that_it_means_by_itself(group: str) -> None:
    meant = [row for row in COMMANDS if row.words[0] == group and row.default]
    assert len(meant) <= 1
    if meant:
        assert parser([group]).parse_args([group]).command is meant[0]


def test_the_table_has_no_row_twice_and_each_group_has_rows() -> None:
    paths = [row.path for row in COMMANDS]
    assert len(paths) == len(set(paths))
    assert {row.words[0] for row in COMMANDS if len(row.words) == 2} == set(GROUPS)

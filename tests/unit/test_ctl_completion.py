"""Completion: the scripts are those that the table makes, and know every command and option."""

from __future__ import annotations

import pytest

from agent.ctl.commands import COMMANDS
from agent.ctl.completion import KINDS
from agent.ctl.parser import OPTIONS
from tests.support.completion_files import FILES, PLACE


@pytest.mark.parametrize("name", FILES)
def test_the_script_that_is_shipped_is_the_one_that_the_table_makes(name: str) -> None:
    assert (PLACE / name).read_text() == FILES[name](), "run `python -m tests.support.completion_files`"


@pytest.mark.parametrize("name", FILES)
def test_a_script_knows_every_command_and_every_option_and_nothing_hidden(name: str) -> None:
    script = FILES[name]()
    for row in COMMANDS:
        assert (f"'{row.path}')" in script) is not row.hidden
    for argument in (*OPTIONS, *(argument for row in COMMANDS for argument in row.arguments)):
        if argument.name.startswith("-"):
            assert argument.name in script


def test_what_the_table_wants_completed_can_be() -> None:
    wanted = {a.complete for row in COMMANDS for a in row.arguments} | {option.complete for option in OPTIONS}
    assert wanted <= {None, "file", *KINDS}

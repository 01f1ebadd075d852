"""The manual pages: nothing that a command, an option or a key has to say is missing, and all of it is sound roff."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from agent.__main__ import parser as daemon
from agent.config.sections import SECTIONS, keys
from agent.ctl.commands import COMMANDS
from agent.ctl.parser import OPTIONS

ROOT = Path(__file__).parents[2]
NAMES = ("clusterware-head-agent.8", "cw-headctl.8", "head-agent.ini.5")
ENVIRONMENT = {**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "100", "SOURCE_DATE_EPOCH": "1760000000"}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("man")
    subprocess.run(
        ["/usr/bin/python3", "-B", "packaging/man/pages.py", str(place)], cwd=ROOT, env=ENVIRONMENT, check=True
    )
    return place


def shown(page: Path) -> str:
    """What man(1) shows, without its line breaks."""
    done = subprocess.run(
        ["man", "--no-hyphenation", "-l", str(page)], env=ENVIRONMENT, check=True, capture_output=True, text=True
    )
    return re.sub(r"\s+", " ", re.sub(".\b", "", done.stdout))


def plain(text: str) -> str:
    """As a page shows it: what stands between backticks is bold there."""
    return text.replace("`", "")


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_sound_roff(pages: Path, name: str) -> None:
    done = subprocess.run(
        ["man", "--warnings=w", "-E", "UTF-8", "-Tutf8", "-Z", "-l", str(pages / name)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert done.stdout


def test_there_are_these_pages_and_no_others(pages: Path) -> None:
    assert tuple(sorted(page.name for page in pages.iterdir())) == NAMES
    for page in pages.iterdir():
        assert " 2025-10-09 " in page.read_text().splitlines()[1]


def test_every_command_and_every_argument_is_in_its_page(pages: Path) -> None:
    text = shown(pages / "cw-headctl.8")
    for command in COMMANDS:
        assert (f"cw-headctl {command.path} " in text) != command.hidden, command.path
        for argument in command.arguments:
            if not command.hidden:
                assert plain(argument.help.replace("%(default)s", str(argument.default)))[1:] in text, argument
                assert (argument.metavar or argument.name) in text
    for option in OPTIONS:
        assert option.name in text
        assert plain(option.help.replace("%(default)s", str(option.default)))[1:] in text


def test_every_argument_of_the_daemon_is_in_its_page(pages: Path) -> None:
    text = shown(pages / "clusterware-head-agent.8")
    for action in daemon()._actions:
        assert all(name in text for name in action.option_strings)
    assert "75 Stopped to be started again now that the database can be used." in text
    assert "78 The configuration cannot be used." in text


def test_every_section_and_key_is_in_its_page(pages: Path) -> None:
    text = shown(pages / "head-agent.ini.5")
    for name, section in SECTIONS.items():
        assert f"[{name}]" in text
        assert plain(str(section.__doc__)) in text
        for spec in keys(name).values():
            assert f" {spec.name} " in text
            assert plain(spec.metadata["meaning"]) in text
            assert plain(spec.metadata["kind"].allowed) in text
    assert "..." not in text, "it reads as if the sentence went on"

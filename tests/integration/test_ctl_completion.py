"""Completion in the real shells, with what the agent tells while somebody types."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.completion_files import PLACE
from tests.support.ctl import ONE, ROOT, THREE, THREE_HEADS, TWO, service
from tests.support.scripted_agent import Answers, Script, ok, refused, scripted

HOSTILE = "$(touch pwned).iso"
ANSWERS: Answers = {
    "GET /heads": ok(THREE_HEADS),
    "GET /head/services": ok([service("chronyd"), service("clusterware-dns")]),
    "GET /head/files/trash": ok([{"filename": name} for name in ("a b.iso", "boot.img", HOSTILE)]),
    "GET /database/backups": ok([{"name": "20261124T000000.000000Z.db"}]),
}
BASH = r"""
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
_cw_headctl
printf '%s\n' "${COMPREPLY[@]}"
"""
ZSH = r"""
script=$1; shift
_describe() { local a; for a in "${(@P)argv[-1]}"; do print -r -- "${a%%:*}"; done }
compadd() { [[ $1 == -a ]] && print -rl -- "${(@P)2}" }
_files() { print -rl -- *(N) }
_cw() { local -a words; words=("$@"); integer CURRENT=$#; source $script }
_cw "$@"
"""


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Script]:
    (tmp_path / "bin").mkdir()
    (tmp_path / "here").mkdir()
    (tmp_path / "here/saved.json").touch()
    command = tmp_path / "bin/cw-headctl"
    with scripted(tmp_path, ANSWERS) as script:
        words = shlex.join([sys.executable, "-m", "agent.ctl", "--socket", str(script.socket)])
        command.write_text(f'#!/bin/sh\ncd {ROOT} && exec {words} "$@"\n')
        command.chmod(0o755)
        yield script


def completed(agent: Script, shell: str, *words: str) -> list[str]:
    """What the shell offers for the last of these words."""
    home = agent.socket.parent
    name, program = ("cw-headctl.bash", BASH) if shell == "bash" else ("_cw-headctl", ZSH)
    start = ["bash", "--norc", "-c"] if shell == "bash" else ["zsh", "-f", "-c"]
    done = subprocess.run(
        [*start, program, shell, str(PLACE / name), "cw-headctl", *words],
        cwd=home / "here",
        env={**os.environ, "PATH": f"{home}/bin:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stderr == ""
    assert not (home / "here/pwned").exists()
    found = [line for line in done.stdout.splitlines() if line]
    return found if shell == "bash" else [word for word in found if word.startswith(words[-1])]


both = pytest.mark.parametrize("shell", ["bash", "zsh"])


@both
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["serv"], {"services"}),
        (["services", "re"], {"restart", "reload"}),
        (["--json", "heads", ""], {"ls", "show", "down", "evict"}),
        (["--head", TWO, "files", "t"], {"trash"}),
        (["--watch", "5", "services", "l"], {"ls"}),
        (["--watch", "services", "l"], {"ls"}),
        (["heads", "evict", "--d"], {"--down", "--dry-run"}),
        (["services", "ls", "--js"], {"--json"}),
        (["services", "restart", "ch"], {"chronyd"}),
        (["services", "restart", "chronyd", "clu"], {"clusterware-dns"}),
        (["heads", "evict", "2"], {TWO}),
        (["heads", "evict", "rack"], {"rack-a", "rack-b", "rack-c"}),
        (["services", "--head", ""], {ONE, TWO, THREE, "rack-a", "rack-b", "rack-c"}),
        (["database", "restore", ""], {"20261124T000000.000000Z.db"}),
        (["database", "load", "sav"], {"saved.json"}),
        (["token", "--lifespan", ""], set()),
        (["compl"], set()),
    ],
)
def test_a_shell_offers_what_can_follow(agent: Script, shell: str, words: list[str], offered: set[str]) -> None:
    assert set(completed(agent, shell, *words)) == offered


@both
def test_names_of_files_are_quoted_and_never_run(agent: Script, shell: str) -> None:
    offered = completed(agent, shell, "files", "restore", "")
    wanted = (
        {"a\\ b.iso", "boot.img", "\\$\\(touch\\ pwned\\).iso"} if shell == "bash" else {"a b.iso", "boot.img", HOSTILE}
    )
    assert set(offered) == wanted


@both
def test_the_head_on_the_line_is_the_one_that_is_asked(agent: Script, shell: str) -> None:
    completed(agent, shell, "--head", TWO, "services", "stop", "")
    assert [asked.head for asked in agent.asked] == [TWO]


@both
def test_without_an_agent_the_words_are_offered_all_the_same(tmp_path: Path, shell: str) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "here").mkdir()
    (tmp_path / "bin/cw-headctl").write_text("#!/bin/sh\nexit 4\n")
    (tmp_path / "bin/cw-headctl").chmod(0o755)
    agent = Script(tmp_path / "none")
    assert completed(agent, shell, "services", "start", "") == []
    assert completed(agent, shell, "ca", "") == ["show", "rotate"]


def test_what_the_agent_refuses_is_no_word(tmp_path: Path) -> None:
    with scripted(tmp_path, {"GET /heads": refused(503, "away")}) as agent:
        command = [sys.executable, "-m", "agent.ctl", "--socket", str(agent.socket), "complete", "heads"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")

"""cw-headctl's command line, against an agent that is not there or answers oddly."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from agent.ctl.__main__ import main
from agent.ctl.outcome import Exit
from tests.support.one_answer import answering
from tests.support.scripted_agent import refused, scripted


def test_no_agent_is_unreachable_and_says_where_to_look(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--socket", str(tmp_path / "none"), "services"]) == Exit.UNREACHABLE

    said = capsys.readouterr().err
    assert said.startswith("cw-headctl: cannot list the services: ")
    assert "cw-headctl doctor" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("answer", "exit_status"),
    [
        (("200 OK", '{"success": true, "data": []}'), Exit.OK),
        (("403 Forbidden", '{"success": false, "reason": "no"}'), Exit.DENIED),
        (("409 Conflict", '{"success": false, "reason": "no"}'), Exit.FAILED),
        (("200 OK", "<html>"), Exit.FAILED),
        (("200 OK", "[]"), Exit.FAILED),
    ],
)
def test_the_exit_status_says_how_it_went(tmp_path: Path, answer: tuple[str, str], exit_status: Exit) -> None:
    with answering(tmp_path / "s", *answer):
        assert main(["--socket", str(tmp_path / "s"), "services"]) == exit_status


@pytest.mark.parametrize(("enabled", "exit_status"), [("enabled", Exit.DEGRADED), ("disabled", Exit.OK)])
def test_an_enabled_service_that_is_down_is_something_to_act_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], enabled: str, exit_status: Exit
) -> None:
    row = '"name": "x", "status": "down", "active_state": "failed", "since": null, "description": "X\\u001b[2J"'
    with answering(tmp_path / "s", "200 OK", f'{{"success": true, "data": [{{{row}, "enabled": "{enabled}"}}]}}'):
        assert main(["--socket", str(tmp_path / "s"), "services"]) == exit_status

    assert capsys.readouterr().out.splitlines()[1].split() == ["x", "down", enabled, "failed", "-", "X?[2J"]


def test_a_token_is_printed_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(tmp_path / "s", "201 Created", '{"success": true, "data": {"token": "a.b.c"}}') as asked:
        arguments = ["token", "--lifespan", "7d", "--permissions", "HeadsRead,HeadsWrite", "--subject", "ann"]
        assert main(["--socket", str(tmp_path / "s"), *arguments]) == Exit.OK

    assert capsys.readouterr().out == "a.b.c\n"
    assert asked[0].startswith(b"POST /api/v1/head/token ")
    assert asked[0].endswith(b'{"lifespan": "7d", "permissions": ["HeadsRead", "HeadsWrite"], "subject": "ann"}')


def test_a_configuration_that_is_not_right_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.ini").write_text("[files]\nrot = /x\n")

    assert main(["config", "check", "--config", str(tmp_path / "x.ini")]) == Exit.FAILED

    assert capsys.readouterr().err.startswith(f"cw-headctl: {tmp_path}/x.ini:2: [files] rot: is not a key;")


@pytest.mark.parametrize("words", [[], ["files"], ["no"], ["token"], ["files", "restore"]])
def test_wrong_arguments_are_told_apart(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(words)

    assert left.value.code == Exit.USAGE
    told = capsys.readouterr().err
    assert told.startswith("cw-headctl: ")
    assert told.endswith(" --help`\n")
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("servics", "there is no command 'servics', perhaps services: see `cw-headctl --help`"),
        ("services strt", "there is no command 'strt', perhaps start: see `cw-headctl services --help`"),
        ("heads xyzzy", "there is no command 'xyzzy': see `cw-headctl heads --help`"),
        ("services ls more", "`services ls` takes no 'more': see `cw-headctl services ls --help`"),
        ("files rm --nope", "`files rm` has no option --nope: see `cw-headctl files rm --help`"),
        ("logs -n x", "--lines/-n: must be a number or all, and not x: see `cw-headctl logs --help`"),
        ("logs -p x", "must be one of emerg alert crit err warning notice info debug 0 to 7, and not x"),
    ],
)
def test_what_was_mistyped_is_named_with_where_to_look(
    typed: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(typed.split())
    assert left.value.code == Exit.USAGE
    assert told in capsys.readouterr().err


def test_what_the_agent_cannot_take_is_a_wrong_argument(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with scripted(tmp_path, {"POST /head/services": refused(422, "'x' is no service", "invalid")}) as agent:
        assert main(["--socket", str(agent.socket), "services", "start", "x"]) == Exit.USAGE
    assert capsys.readouterr().err == "cw-headctl: cannot start x: 'x' is no service\n"


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("the bus is away", "cw-headctl: cannot list the services: the bus is away: see `cw-headctl doctor`\n"),
        ("look at `ss`", "cw-headctl: cannot list the services: look at `ss`\n"),
    ],
)
def test_what_the_agent_cannot_do_has_a_next_step(
    tmp_path: Path, reason: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with scripted(tmp_path, {"GET /head/services": refused(503, reason, "systemd-away")}) as agent:
        assert main(["--socket", str(agent.socket), "services"]) == Exit.FAILED
    assert capsys.readouterr().err == told


def test_it_imports_nothing_that_only_the_daemon_needs() -> None:
    program = "import sys, agent.ctl.__main__, agent.ctl.config; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()

    assert not {"aiohttp", "structlog", "asyncio", "msgspec", "gi"} & set(loaded)


def test_a_command_loads_little_more_than_an_http_client() -> None:
    program = """
import sys, http.client, json
before = set(sys.modules)
import agent.ctl.__main__, agent.ctl.heads, agent.ctl.services
print(*(set(sys.modules) - before))
"""
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()

    slow = {
        "dataclasses",
        "inspect",
        "threading",
        "concurrent",
        "subprocess",
        "tempfile",
        "shutil",
        "signal",
        "pathlib",
    }
    assert "agent.ctl.heads" in loaded
    assert not slow & set(loaded)

"""cw-headctl at a terminal and off one: colours, widths, waiting, watching, and how it is stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from agent.ctl.outcome import Exit
from tests.support.ctl import ROOT, ctl, service
from tests.support.scripted_agent import Answers, Asked, Envelope, ok, refused, scripted
from tests.support.terminal import at_terminal

SERVICES: Answers = {"GET /head/services": ok([service("chronyd", "down"), service("x" * 20, description="d" * 300)])}


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False), ({"NO_COLOR": ""}, True)],
)
def test_colours_are_for_terminals_that_want_them(
    tmp_path: Path,
    environment: dict[str, str],
    coloured: bool,  # noqa: FBT001
) -> None:
    with (
        scripted(tmp_path, SERVICES) as agent,
        at_terminal(agent.socket, "services", environment=environment) as session,
    ):
        assert session.ended() == Exit.DEGRADED
        assert ("\x1b[31mdown" in session.seen) is coloured


def test_a_table_is_as_wide_as_the_terminal_and_whole_elsewhere(tmp_path: Path) -> None:
    with scripted(tmp_path, SERVICES) as agent:
        with at_terminal(agent.socket, "services", columns=90, environment={"NO_COLOR": "1"}) as session:
            session.ended()
            assert max(len(line) for line in session.seen.splitlines()) == 90
        done = ctl(agent.socket, "services")
    assert "d" * 300 in done.stdout
    assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize("at_one", [True, False])
def test_a_person_sees_that_it_goes_on_and_a_program_sees_nothing(tmp_path: Path, at_one: bool) -> None:  # noqa: FBT001
    seen = threading.Event()

    def slow(_: Asked) -> Envelope:
        seen.wait(20 if at_one else 1)
        return ok([])

    with scripted(tmp_path, {"GET /head/files/unused": slow}) as agent:
        if at_one:
            with at_terminal(agent.socket, "files", "unused") as session:
                session.sees("list the unused files ... ")
                seen.set()
                assert session.ended() == 0
                assert session.seen.endswith("\r\x1b[KEvery file is referred to, in use or too young.\r\n")
        else:
            assert ctl(agent.socket, "files", "unused").stderr == ""


STEP = {"action": "add", "kind": "image", "uid": "1" * 32, "name": "a", "fields": []}
BACKUP = {"name": "b", "bytes": 1, "made": "-"}
LOAD = {"plan": "d", "steps": [STEP], "same": 0, "kept": 0, "ignored": {}}
ACTION = {"action": "compact", "kind": "engine", "target": "etcd", "reason": "-", "bytes": 1}
CLEAN = {"plan": "d", "actions": [ACTION], "findings": [], "totals": {}}


UNUSED = {"filename": "a.iso", "kind": "ISO 9660", "size": 1, "modified": "-", "reason": "unreferenced"}
ALONE = {"GET /heads": ok({"1" * 32: {}}), "GET /head/peerurl": ok({"store": "sqlite"})}


@pytest.mark.parametrize(
    ("words", "plan", "work", "done", "route"),
    [
        (
            "database load FILE",
            {"POST /database/load?dry_run=1": ok(LOAD)},
            "POST /database/load",
            {"plan": LOAD, "written": 40, "backup": BACKUP},
            "/database/progress",
        ),
        (
            "database clean",
            {"GET /database/clean": ok(CLEAN)},
            "POST /database/clean",
            {**CLEAN, "performed": [ACTION], "skipped": [], "backup": BACKUP},
            "/database/progress",
        ),
        (
            "database migrate",
            ALONE,
            "POST /database/migrate",
            {"engine": "etcd", "records": 40, "backup": BACKUP},
            "/database/progress",
        ),
        (
            "ca rotate",
            ALONE,
            "POST /heads/ca/rotate",
            {"ca_sha256": "ab", "heads": ["1" * 32], "steps": []},
            "/heads/ca/rotate",
        ),
        ("files unused", {}, "GET /head/files/unused", [UNUSED], "/head/files/progress"),
        (
            "files rm",
            {"DELETE /head/files/unused?dry_run=1": ok([UNUSED], kept=[])},
            "DELETE /head/files/unused",
            [UNUSED],
            "/head/files/progress",
        ),
        (
            "files rm a.iso",
            {"POST /head/files/remove?dry_run=1": ok([UNUSED], kept=[])},
            "POST /head/files/remove",
            [UNUSED],
            "/head/files/progress",
        ),
    ],
)
def test_long_work_has_a_bar_of_what_the_agent_has_done(
    tmp_path: Path, words: str, plan: dict[str, Envelope], work: str, done: Any, route: str
) -> None:
    (tmp_path / "saved.json").write_text('{"records": []}')
    seen = threading.Event()

    def slow(_: Asked) -> Envelope:
        seen.wait(20)
        return ok(done)

    answers: Answers = {**plan, work: slow, f"GET {route}": ok({"done": 10, "total": 40, "step": "do it"})}
    command = words.replace("FILE", str(tmp_path / "saved.json")).split()
    with scripted(tmp_path, answers) as agent, at_terminal(agent.socket, *command, "--yes") as session:
        session.sees(" 25% ")
        session.sees(": do it, ")
        seen.set()
        assert session.ended() == 0, session.seen


def test_watching_redraws_at_a_terminal_and_ends_cleanly(tmp_path: Path) -> None:
    turns: list[int] = []

    def counted(_: Asked) -> Envelope:
        turns.append(1)
        return ok([service(f"turn{len(turns)}")]) if len(turns) != 2 else refused(503, "D-Bus is away")

    with scripted(tmp_path, {"GET /head/services": counted}) as agent:
        with at_terminal(agent.socket, "services", "--watch", "0.1") as session:
            session.sees("turn3")
            session.interrupts()
            assert session.ended() == 0
        assert "\x1b[HEvery 0.1 s" in session.seen
        assert "cannot list the services: D-Bus is away" in session.seen  # and it went on
        assert "Traceback" not in session.seen


def test_watching_more_than_the_screen_holds_keeps_its_beginning_in_sight(tmp_path: Path) -> None:
    many = ok([service(f"unit{number:03}") for number in range(60)])
    with scripted(tmp_path, {"GET /head/services": many}) as agent:
        with at_terminal(agent.socket, "services", "--watch", "0.1") as session:
            session.sees("more lines")
            session.interrupts()
            session.ended()
        first = session.seen.split("\x1b[J")[0]
    assert first.count("\n") < 24  # of the 24 that the terminal has
    assert "unit000" in first
    assert "unit030" not in first


def test_watching_for_programs_is_a_line_of_json_each_time(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "agent.ctl", "--socket", str(tmp_path / "s"), "--watch=0.1", "--json", "services"]
    with (
        scripted(tmp_path, SERVICES),
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process,
    ):
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == Exit.DEGRADED
    assert all(json.loads(line)[0]["name"] == "chronyd" for line in lines)


def test_watching_ends_with_what_does_not_pass(tmp_path: Path) -> None:
    with scripted(tmp_path, {"GET /head/services": refused(403, "you may not")}) as agent:
        assert ctl(agent.socket, "services", "--watch").returncode == Exit.DENIED


def test_ctrl_c_ends_a_change_with_a_word_that_it_may_go_on(tmp_path: Path) -> None:
    begun, ended = threading.Event(), threading.Event()

    def slow(_: Asked) -> Envelope:
        begun.set()
        ended.wait(20)
        return ok([])

    words = ("services", "restart", "a")
    with scripted(tmp_path, {"POST /head/services": slow}) as agent, at_terminal(agent.socket, *words) as session:
        assert begun.wait(20)
        session.interrupts()
        assert session.ended() == -signal.SIGINT
        ended.set()
    assert "interrupted: the agent may go on to restart a" in session.seen
    assert "Traceback" not in session.seen


def test_a_reader_that_has_enough_ends_it_without_a_word(tmp_path: Path) -> None:
    many: Answers = {"GET /head/files/references": ok([f"file{n}" for n in range(50_000)])}
    with scripted(tmp_path, many) as agent:
        command = (
            f"{sys.executable} -m agent.ctl --socket {agent.socket} files references | head -1; echo ${{PIPESTATUS[0]}}"
        )
        done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["FILE", str(128 + signal.SIGPIPE)]
    assert done.stderr == ""


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_it_ends_the_same_without_the_streams_that_a_program_has(tmp_path: Path, closed: str) -> None:
    command = f'"$0" -m agent.ctl --socket {tmp_path}/none files rm {closed}'
    done = subprocess.run(["sh", "-c", command, sys.executable], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == Exit.UNREACHABLE
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", ["--help", "services", "services --json", "services --watch"])
def test_an_answer_without_room_is_a_line_and_a_failure(tmp_path: Path, words: str) -> None:
    with scripted(tmp_path, SERVICES) as agent:
        command = f'"$0" -m agent.ctl --socket {agent.socket} {words} > /dev/full'
        argv = ["sh", "-c", command, sys.executable]
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=30)

    assert done.returncode == Exit.FAILED
    assert done.stderr.startswith("cw-headctl: cannot write the answer: No space left on device: make room")
    assert done.stderr.count("\n") == 1


def test_an_agent_that_does_not_answer_in_time_is_unreachable(tmp_path: Path) -> None:
    ended = threading.Event()

    def slow(_: Asked) -> Envelope:
        ended.wait(20)
        return ok([])

    with scripted(tmp_path, {"GET /head/services": slow}) as agent:
        done = ctl(agent.socket, "services", "--timeout", "0.2")
        ended.set()
    assert done.returncode == Exit.UNREACHABLE
    assert "no answer within 0.2 s" in done.stderr
    assert "--timeout" in done.stderr


@pytest.mark.parametrize("words", [("services", "ls"), ("heads",), ("files", "unused")])
def test_a_socket_that_is_not_open_to_the_caller_is_denied(tmp_path: Path, words: tuple[str, ...]) -> None:
    tmp_path.chmod(0o755)
    for above in tmp_path.parents[:2]:
        above.chmod(0o755)
    with scripted(tmp_path, SERVICES) as agent:
        agent.socket.chmod(0o600)
        command = [sys.executable, "-m", "agent.ctl", "--socket", str(agent.socket), *words]
        drop = ["setpriv", "--reuid=65534", "--clear-groups"] if os.geteuid() == 0 else []
        done = subprocess.run([*drop, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == Exit.DENIED, done.stderr
    assert "become root, or a member of the group clusterware-admin" in done.stderr

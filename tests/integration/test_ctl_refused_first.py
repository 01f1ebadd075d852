"""What the agent would refuse: nobody is asked to agree to it first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.ctl.outcome import Exit
from tests.support.ctl import ONE, ROOT, TWO, ctl, head
from tests.support.scripted_agent import Answers, ok, refused, scripted
from tests.support.terminal import at_terminal

ALONE = {ONE: head(ONE, "rack-a")}
BOTH = {**ALONE, TWO: head(TWO, "rack-b")}
ETCD, SQLITE = ok({"store": "etcd"}), ok({"store": "sqlite"})
ROTATED = ok({"ca_sha256": "ab", "heads": [ONE, TWO]})
MIGRATED = ok({"records": 3, "engine": "etcd", "backup": {"name": "b.db"}})
LOST = ok(BOTH, stale=12)


@pytest.mark.parametrize(
    ("command", "answers"),
    [
        ("leave", {"GET /heads": ok(ALONE), "POST /database/leave": refused(409, "cannot leave: it is alone")}),
        (
            "database migrate",
            {
                "GET /head/peerurl": SQLITE,
                "GET /heads": ok(BOTH),
                "POST /database/migrate": refused(409, "cannot migrate: there is another head"),
            },
        ),
        ("ca rotate", {"GET /heads": LOST, "POST /heads/ca/rotate": refused(503, "cannot exchange it: no quorum")}),
        ("database recover", {"GET /head/peerurl": SQLITE, "GET /heads": ok(ALONE)}),
        ("database recover", {"GET /head/peerurl": ETCD, "GET /heads": ok(BOTH)}),
    ],
)
def test_what_will_be_refused_is_refused_at_once(tmp_path: Path, command: str, answers: Answers) -> None:
    with scripted(tmp_path, answers) as agent, at_terminal(agent.socket, *command.split()) as session:
        assert session.ended() == Exit.FAILED
    assert "cw-headctl: cannot " in session.seen
    assert "go on" not in session.seen.lower()
    assert "POST /database/recover" not in agent.routes


def test_nobody_is_told_of_a_leave_that_is_not_theirs_to_do(tmp_path: Path) -> None:
    with scripted(tmp_path, {"GET /heads": refused(403, "you may not")}) as agent:
        done = ctl(agent.socket, "leave", "--yes")
    assert (done.returncode, done.stderr) == (Exit.DENIED, "cw-headctl: cannot list the heads: you may not\n")
    assert agent.routes == ["GET /heads"]


def test_a_head_whose_database_is_lost_may_leave_all_the_same(tmp_path: Path) -> None:
    left = {"left": ONE, "cluster": "c", "remaining": [TWO], "steps": [{"step": "leave the engine", "result": "done"}]}
    answers: Answers = {"GET /heads": refused(503, "the database is away"), "POST /database/leave": ok(left)}
    with scripted(tmp_path, answers) as agent:
        done = ctl(agent.socket, "leave", "--yes")
    assert done.returncode == 0, done.stderr
    assert done.stderr == "This head leaves its cluster and goes on alone, with its own copy of the objects.\n"


@pytest.mark.parametrize("words", ["token --join", "join h2 --ca-sha256 ab", "ca rotate", "config apply"])
def test_what_is_for_root_is_refused_before_anything_is_asked(tmp_path: Path, words: str) -> None:
    tmp_path.chmod(0o755)
    with scripted(tmp_path, {}) as agent:
        command = [sys.executable, "-m", "agent.ctl", "--socket", str(agent.socket), *words.split()]
        drop = ["setpriv", "--reuid=65534", "--clear-groups"] if os.geteuid() == 0 else []
        done = subprocess.run([*drop, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == Exit.DENIED, done.stderr
    assert "it is for root: use sudo" in done.stderr
    assert agent.routes == []


@pytest.mark.parametrize(
    ("saved", "why"),
    [("[" * 100_000, "is nested too deeply"), ("[1", "is not JSON"), ("[]", "has no records")],
    ids=["nested", "cut off", "empty"],
)
def test_a_file_that_is_no_saved_records_is_one_line_and_nobody_is_asked(tmp_path: Path, saved: str, why: str) -> None:
    file = tmp_path / "all.json"
    file.write_text(saved)
    with scripted(tmp_path, {}) as agent:
        told = ctl(agent.socket, "database", "load", str(file))
    assert told.returncode == Exit.USAGE
    assert told.stderr.startswith(f"cw-headctl: cannot load {file}: it {why}")
    assert told.stderr.count("\n") == 1
    assert agent.routes == []


def test_a_recovery_is_asked_for_where_the_quorum_is_lost(tmp_path: Path) -> None:
    with scripted(tmp_path, {"GET /head/peerurl": ETCD, "GET /heads": LOST}) as agent:
        told = ctl(agent.socket, "database", "recover")
    assert told.returncode == Exit.USAGE
    assert "Only when they are gone for good" in told.stderr


@pytest.mark.parametrize(
    ("command", "told", "does", "answers"),
    [
        (
            "ca rotate",
            "2 heads of this cluster will get certificates of a new CA",
            "POST /heads/ca/rotate",
            {"GET /heads": ok(BOTH), "POST /heads/ca/rotate": ROTATED},
        ),
        (
            "database migrate",
            "All records are copied from SQLite",
            "POST /database/migrate",
            {"GET /heads": ok(ALONE), "GET /head/peerurl": SQLITE, "POST /database/migrate": MIGRATED},
        ),
    ],
)
def test_what_removes_nothing_is_asked_for_at_a_terminal_and_done_off_one(
    tmp_path: Path, command: str, told: str, does: str, answers: Answers
) -> None:
    with scripted(tmp_path, answers) as agent:
        with at_terminal(agent.socket, *command.split()) as session:
            session.sees("Go on? [y/N] ")
            session.types("n\n")
            assert session.ended() == Exit.FAILED
            assert told in session.seen
        assert does not in agent.routes
        done = ctl(agent.socket, *command.split())
        assert done.returncode == 0, done.stderr
        assert told in done.stderr
        assert does in agent.routes


def test_no_command_to_join_is_printed_while_no_head_can_join(tmp_path: Path) -> None:
    own = {ONE: head(ONE, "rack-a", url="https://rack-a.site:52390")}
    with scripted(tmp_path, {"GET /head/self": ok(own, stale=12)}) as agent:
        told = ctl(agent.socket, "token", "--join")
    assert (told.returncode, told.stdout) == (Exit.FAILED, "")
    assert "the database has no quorum, so no head can join" in told.stderr

"""cw-headctl status and doctor against written agents: those that are older, refuse, or are not there at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.ctl.outcome import Exit
from tests.support.ctl import ONE, TWO, ctl
from tests.support.scripted_agent import Answers, ok, refused, scripted

FINDING = {"check": "clock", "level": "warning", "subject": TWO, "detail": "it is off", "todo": "set it"}
REPORT = {"uid": TWO, "description": "rack-b", "version": "0.2.0", "level": "warning", "findings": [FINDING]}
OLDER: Answers = {
    "GET /head/doctor": refused(401, "Bearer", "unauthenticated"),
    "GET /head/peerurl": ok({"uid": TWO, "version": "0.1.0"}),
}


@pytest.mark.parametrize("words", [("doctor", "--head", TWO), ("status", "--head", TWO), ("status",)])
def test_an_older_agent_is_said_to_be_one_and_no_token_is_asked_for(tmp_path: Path, words: tuple[str, ...]) -> None:
    with scripted(tmp_path, OLDER) as agent:
        done = ctl(agent.socket, *words)
    assert done.returncode == Exit.FAILED
    assert "its agent has version 0.1.0, and examining comes with 0.2.0" in done.stderr
    assert done.stderr.count("\n") == 1
    assert "token" not in done.stderr


def test_the_doctor_goes_on_with_this_machine_where_its_agent_is_older(tmp_path: Path) -> None:
    with scripted(tmp_path, OLDER) as agent:
        done = ctl(agent.socket, "doctor", "--config", str(tmp_path / "none.ini"))
    assert done.returncode == Exit.DEGRADED
    assert "examining comes with 0.2.0" in " ".join(done.stdout.split())
    assert "time sync, this head" in done.stdout


def test_a_refusal_of_an_agent_that_knows_reports_is_told_as_it_is(tmp_path: Path) -> None:
    answers = {**OLDER, "GET /head/doctor": refused(403, "not a known head", "removed")}
    for version in ("0.2.0", "1.0.0", "unreadable"):
        with scripted(tmp_path, {**answers, "GET /head/peerurl": ok({"uid": TWO, "version": version})}) as agent:
            done = ctl(agent.socket, "doctor", "--head", TWO)
        assert done.returncode == Exit.DENIED
        assert "not a known head" in done.stderr
        agent.socket.unlink(missing_ok=True)


def test_another_head_is_examined_by_its_own_agent_alone(tmp_path: Path) -> None:
    with scripted(tmp_path, {"GET /head/doctor": ok(REPORT)}) as agent:
        done = ctl(agent.socket, "--json", "doctor", "--head", TWO)
    assert done.returncode == Exit.DEGRADED
    told = json.loads(done.stdout)
    assert (told["uid"], told["answers"], told["findings"]) == (TWO, True, [FINDING])


def test_all_heads_are_a_row_each_and_those_that_cannot_tell_are_named(tmp_path: Path) -> None:
    heads = {uid: {"uid": uid, "description": name} for uid, name in ((ONE, "rack-a"), (TWO, "rack-b"))}
    answers: Answers = {
        "GET /heads": ok(heads),
        "GET /head/peerurl": lambda asked: ok({"uid": ONE, "version": "0.1.0" if asked.head else "0.2.0"}),
        "GET /head/doctor": lambda asked: refused(401, "Bearer") if asked.head else ok({**REPORT, "uid": ONE}),
    }
    with scripted(tmp_path, answers) as agent:
        done = ctl(agent.socket, "--all-heads", "status")
    assert done.returncode == Exit.DEGRADED
    assert done.stdout.splitlines()[1].split()[:2] == ["rack-a", "warning"]
    assert done.stderr.startswith("cw-headctl: rack-b: cannot tell the head's status: its agent has version 0.1.0")


def test_without_an_agent_status_names_the_doctor_and_the_doctor_looks_at_the_machine(tmp_path: Path) -> None:
    socket = tmp_path / "nobody"
    status = ctl(socket, "status")
    doctor = ctl(socket, "doctor", "--config", str(tmp_path / "none.ini"))
    assert status.returncode == doctor.returncode == Exit.UNREACHABLE
    assert "`cw-headctl doctor`" in status.stderr
    assert "no agent answers" in " ".join(doctor.stdout.split())
    assert "`cw-headctl doctor`" not in doctor.stdout

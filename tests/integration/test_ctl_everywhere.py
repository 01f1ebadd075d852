"""--head and --all-heads: whom the command asks, what it makes of several answers, and what it refuses."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path

import pytest

from agent.ctl.outcome import Exit
from tests.support.ctl import ONE, THREE, THREE_HEADS, TWO, ctl, service
from tests.support.scripted_agent import Answers, Asked, Envelope, ok, refused, scripted
from tests.support.terminal import at_terminal

DONE = {
    "name": "chronyd",
    "status": "up",
    "actions": [{"action": "restart", "result": "done", "detail": None, "took": 0.1}],
}


def services(asked: Asked) -> Envelope:
    """This head answers, and rack-b; rack-c cannot be reached."""
    if asked.head == THREE:
        return refused(503, f"cannot reach head {THREE}: connection refused", "unreachable")
    return ok([service("chronyd" if asked.head else "dnsmasq")])


ANSWERS: Answers = {
    "GET /heads": ok(THREE_HEADS),
    "GET /head/peerurl": ok({"uid": ONE}),
    "GET /head/services": services,
    "POST /head/services": ok([DONE]),
}


@pytest.mark.parametrize("said", [TWO, "22", "rack-b", "rack-b.site"])
def test_a_head_is_asked_by_whatever_it_is_called(tmp_path: Path, said: str) -> None:
    with scripted(tmp_path, ANSWERS) as agent:
        done = ctl(agent.socket, "services", "--head", said)
    assert done.returncode == 0, done.stderr
    assert agent.asked[-1].head == TWO
    assert len(agent.asked) == (1 if said == TWO else 2)


def test_all_heads_are_one_table_and_a_failure_is_a_line_and_status_3(tmp_path: Path) -> None:
    with scripted(tmp_path, ANSWERS) as agent:
        done = ctl(agent.socket, "--all-heads", "services")
    assert done.returncode == Exit.DEGRADED
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [
        ["HEAD", "NAME"],
        ["rack-a", "dnsmasq"],
        ["rack-b", "chronyd"],
    ]
    assert done.stderr.startswith(
        f"cw-headctl: rack-c: cannot list the services: cannot reach head {THREE}: connection refused: look at "
    )
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("odd", [None, 7, [1], [{}], {"x": 1}])
def test_an_answer_that_makes_no_sense_is_that_heads_failure_alone(tmp_path: Path, odd: object) -> None:
    answers = {**ANSWERS, "GET /head/files/trash": lambda asked: ok(odd if asked.head == TWO else [])}
    with scripted(tmp_path, answers) as agent:
        done = ctl(agent.socket, "--all-heads", "files", "trash")
        alone = ctl(agent.socket, "--head", TWO, "files", "trash")
    assert (done.returncode, alone.returncode) == (Exit.DEGRADED, Exit.FAILED)
    assert done.stdout.splitlines() == ["rack-a: The trash is empty.", "rack-c: The trash is empty."]
    for said in (done.stderr, alone.stderr):
        assert said.count("\n") == 1
        assert said.startswith("cw-headctl: ")


def test_all_heads_for_programs_are_by_uid_with_what_failed(tmp_path: Path) -> None:
    with scripted(tmp_path, ANSWERS) as agent:
        told = json.loads(ctl(agent.socket, "--json", "services", "ls", "--all-heads").stdout)
    assert list(told) == [ONE, TWO, THREE]
    assert told[TWO] == {"ok": True, "data": [service("chronyd")]}
    assert told[THREE]["ok"] is False
    assert "connection refused" in told[THREE]["error"]


def test_a_change_on_all_heads_is_asked_for_and_goes_one_after_the_other(tmp_path: Path) -> None:
    words = ("services", "restart", "chronyd", "--all-heads")
    with scripted(tmp_path, ANSWERS) as agent:
        unasked = ctl(agent.socket, *words)
        assert unasked.returncode == Exit.USAGE
        assert "on 3 heads, one after the other: rack-a, rack-b, rack-c" in unasked.stderr
        assert "say --yes" in unasked.stderr
        assert "POST /head/services" not in agent.routes
        done = ctl(agent.socket, *words, "--yes")
    assert done.returncode == 0, done.stderr
    assert [asked.head for asked in agent.asked if asked.route == "POST /head/services"] == [None, TWO, THREE]


def test_each_heads_plan_is_shown_before_one_agreement(tmp_path: Path) -> None:
    file = {"filename": "x.iso", "kind": "ISO 9660", "size": 2048, "modified": "-", "reason": "unreferenced"}

    def plan(asked: Asked) -> Envelope:
        return ok([file] if asked.head == TWO else [], kept=[], meta={})

    answers: Answers = {
        **ANSWERS,
        "DELETE /head/files/unused?dry_run=1": plan,
        "DELETE /head/files/unused": ok([file], kept=[], meta={}),
    }
    with scripted(tmp_path, answers) as agent:
        done = ctl(agent.socket, "files", "rm", "--all-heads", "--yes")
    assert done.returncode == 0, done.stderr
    assert "rack-b: 1 file, 2.0 KiB would go to the trash" in done.stderr
    assert "rack-b: Removed x.iso, 2.0 KiB" in done.stdout
    assert "rack-a: Nothing to remove" in done.stdout
    assert [asked.head for asked in agent.asked if asked.route == "DELETE /head/files/unused"] == [TWO]


def test_token_routes_of_other_heads_say_what_opens_them(tmp_path: Path) -> None:
    with scripted(tmp_path, {**ANSWERS, "GET /database/clean": refused(401, "Bearer", "unauthenticated")}) as agent:
        everywhere = ctl(agent.socket, "--all-heads", "heads")
        there = ctl(agent.socket, "--head", "rack-b", "database", "clean", "--dry-run")
    for done, permission in ((everywhere, "HeadsRead"), (there, "HeadsRead,HeadsWrite")):
        assert done.returncode == Exit.DENIED
        assert done.stderr.count("\n") == 1
        assert f"cw-headctl token --lifespan 5min --permissions {permission}`" in done.stderr
        assert "--token-file" in done.stderr


def test_a_token_is_passed_on_to_other_heads_only(tmp_path: Path) -> None:
    with scripted(tmp_path, ANSWERS) as agent:
        done = ctl(agent.socket, "--all-heads", "--token-file", "-", "heads", "ls", stdin="a.b.c\n")
    assert done.returncode == 0, done.stderr
    told = {(asked.head, asked.authorization) for asked in agent.asked if asked.route == "GET /heads"}
    assert told == {(None, None), (TWO, "Bearer a.b.c"), (THREE, "Bearer a.b.c")}
    assert "a.b.c" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--head 1 --all-heads services", "do not go together"),
        ("--all-heads leave --yes", "run it on one head"),
        ("--all-heads heads evict --down --yes", "run it on one head"),
        ("--all-heads database backups", "run it on each head"),
        ("--head rack-b database backups", "log in there"),
        ("--head rack-b token --join", "log in there"),
        ("--head 1 config check", "run it on that head"),
        ("--head nobody services", "`cw-headctl heads ls` has rack-a, rack-b, rack-c"),
        ("--watch services stop x", "again and again"),
        ("--token-file /nonexistent services", "cannot read the token"),
        ("--token-file - services", "is empty"),
    ],
)
def test_what_cannot_be_meant_is_one_line_with_the_next_step(tmp_path: Path, words: str, told: str) -> None:
    with scripted(tmp_path, ANSWERS) as agent:
        done = ctl(agent.socket, *words.split())
    assert done.returncode == Exit.USAGE
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert not [route for route in agent.routes if not route.startswith("GET")]


def test_what_only_this_head_does_may_be_said_with_its_own_name(tmp_path: Path) -> None:
    with scripted(tmp_path, {**ANSWERS, "GET /database/backups": ok([])}) as agent:
        assert ctl(agent.socket, "--head", "rack-a", "database", "backups").returncode == 0


@pytest.mark.parametrize("words", ["services", "services --watch"])
def test_ctrl_c_waits_for_no_head_that_has_not_answered(tmp_path: Path, words: str) -> None:
    begun, ended = threading.Event(), threading.Event()

    def slow(asked: Asked) -> Envelope:
        if asked.head is not None:
            begun.set()
            ended.wait(60)
        return ok([])

    answers: Answers = {
        "GET /heads": ok(THREE_HEADS),
        "GET /head/peerurl": ok({"uid": ONE}),
        "GET /head/services": slow,
    }
    with scripted(tmp_path, answers) as agent, at_terminal(agent.socket, "--all-heads", *words.split()) as session:
        try:
            assert begun.wait(20)
            session.interrupts()
            status = session.ended()
        finally:
            ended.set()
    assert status == (0 if "--watch" in words else -signal.SIGINT)
    assert "Traceback" not in session.seen

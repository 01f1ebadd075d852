"""What is removed or replaced: counts and bytes first, agreement at a terminal, --yes off one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.ctl.outcome import Exit
from tests.support.ctl import ONE, TWO, ctl, head, service
from tests.support.scripted_agent import Answers, Asked, Envelope, ok, refused, scripted
from tests.support.terminal import at_terminal

FILE = {"filename": "x.iso", "kind": "ISO 9660", "size": 3 * 2**20, "modified": "-", "reason": "unreferenced"}
TRASHED = {"filename": "x.iso", "slot": "00", "size": 2048, "removed": "-"}
ACTION = {"action": "remove", "kind": "tombstone", "target": ONE, "reason": "older than 30 days", "bytes": 512}
PLAN = {"plan": "d1", "actions": [ACTION], "findings": [], "totals": {}}
CLEANED = {**PLAN, "performed": [ACTION], "skipped": [], "backup": {"name": "b.db", "bytes": 1, "made": "-"}}
STEP = {"action": "add", "kind": "image", "uid": ONE, "name": "a", "fields": []}
LOAD = {"plan": "d2", "steps": [STEP], "same": 2, "kept": 1, "ignored": {"head": 3}}
BACKUP = {"name": "b.db", "bytes": 2048, "made": "2026-11-24T00:00:00.000Z"}
ANSWERS: Answers = {
    "DELETE /head/files/unused?dry_run=1": ok([FILE], kept=[]),
    "DELETE /head/files/unused": ok([FILE], kept=[]),
    "POST /head/files/remove?dry_run=1": ok([FILE], kept=[]),
    "POST /head/files/remove": ok([FILE], kept=[]),
    "GET /head/files/trash": ok([TRASHED]),
    "DELETE /head/files/trash": ok([TRASHED], kept=[]),
    "GET /database/clean": ok(PLAN),
    "POST /database/clean": ok(CLEANED),
    "POST /database/load?dry_run=1": ok(LOAD),
    "POST /database/load": ok({"plan": LOAD, "written": 1, "backup": BACKUP}),
    "GET /database/backups": ok([BACKUP]),
    "POST /database/restore": ok({"name": "b.db", "replaced": "agent.db.1"}),
    f"GET /head/{ONE}": ok({ONE: head(ONE, "rack-a", state="down")}),
    f"DELETE /head/{ONE}": ok(ONE),
    "GET /heads": ok({ONE: head(ONE, "rack-a"), TWO: head(TWO, "rack-b")}),
    "POST /database/leave": ok({"left": ONE, "cluster": "c", "remaining": [], "steps": []}),
    "POST /database/recover": ok({"records": 1, "others": [], "backup": BACKUP}),
}
COMMANDS = [
    ("files rm", "1 file, 3.0 MiB would go to the trash", "DELETE /head/files/unused", "y"),
    ("files rm x.iso", "1 file, 3.0 MiB would go to the trash", "POST /head/files/remove", "y"),
    ("files empty-trash", "1 file, 2.0 KiB would be removed for good", "DELETE /head/files/trash", "empty"),
    ("database clean", "1 action, 512 B, behind a backup", "POST /database/clean", "y"),
    ("database load FILE", "1 to add, 0 to change, 2 the same, 1 only here and kept", "POST /database/load", "load"),
    ("database restore b.db", "2.0 KiB, takes the database's place", "POST /database/restore", "restore"),
    ("database recover", "Only when they are gone for good", "POST /database/recover", "recover"),
    (f"heads evict {ONE}", "1 head leaves the cluster for good", f"DELETE /head/{ONE}", "y"),
    ("leave", "leaves its cluster of 2", "POST /database/leave", "leave"),
]
each = pytest.mark.parametrize(("command", "told", "does", "word"), COMMANDS)


def words(command: str, directory: Path) -> list[str]:
    (directory / "saved.json").write_text('{"records": []}')
    return [str(directory / "saved.json") if word == "FILE" else word for word in command.split()]


@each
def test_off_a_terminal_it_is_told_and_refused_without_yes(
    tmp_path: Path, command: str, told: str, does: str, word: str
) -> None:
    with scripted(tmp_path, ANSWERS) as agent:
        refusal = ctl(agent.socket, *words(command, tmp_path), stdin=f"{word}\n")
        assert refusal.returncode == Exit.USAGE
        assert told in refusal.stderr
        assert refusal.stderr.splitlines()[-1].endswith("nobody is there to ask: say --yes if it is meant")
        assert refusal.stdout == ""
        assert does not in agent.routes
        done = ctl(agent.socket, *words(command, tmp_path), "--yes")
    assert done.returncode == 0, done.stderr
    assert told in done.stderr
    assert agent.routes[-1] == does


@each
def test_at_a_terminal_somebody_agrees(tmp_path: Path, command: str, told: str, does: str, word: str) -> None:
    with scripted(tmp_path, ANSWERS) as agent, at_terminal(agent.socket, *words(command, tmp_path)) as session:
        session.sees(told)
        session.sees("[y/N] " if word == "y" else f"Type {word} to go on: ")
        assert does not in agent.routes
        session.types(f"{word}\n")
        assert session.ended() == 0, session.seen
        assert agent.routes[-1] == does


def test_what_stays_in_the_trash_is_told(tmp_path: Path) -> None:
    kept = [{"filename": "y.iso", "reason": "is referred to by an object"}]
    with scripted(tmp_path, {**ANSWERS, "DELETE /head/files/trash": ok([], kept=kept)}) as agent:
        done = ctl(agent.socket, "files", "empty-trash", "--yes")
    assert "Not removed: y.iso: is referred to by an object" in done.stdout


@pytest.mark.parametrize(("command", "said"), [("files rm", ""), ("files rm", "no"), ("files empty-trash", "y")])
def test_anything_else_that_is_typed_changes_nothing(tmp_path: Path, command: str, said: str) -> None:
    with scripted(tmp_path, ANSWERS) as agent, at_terminal(agent.socket, *command.split()) as session:
        session.sees("go on: " if "empty" in command else "[y/N] ")
        session.types(f"{said}\n")
        assert session.ended() == Exit.FAILED
        assert "nothing was changed" in session.seen
        assert not [route for route in agent.routes if route.startswith("DELETE") and "dry_run" not in route]


@pytest.mark.parametrize("command", ["files rm", "files empty-trash", "database clean", "database load FILE"])
def test_a_dry_run_tells_and_needs_no_agreement(tmp_path: Path, command: str) -> None:
    with scripted(tmp_path, ANSWERS) as agent:
        done = ctl(agent.socket, "--json", *words(command, tmp_path), "--dry-run")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert isinstance(json.loads(done.stdout), dict)
    assert len(agent.asked) == 1


def test_a_clean_and_a_load_do_what_was_shown_and_nothing_else(tmp_path: Path) -> None:
    with scripted(tmp_path, ANSWERS) as agent:
        ctl(agent.socket, "database", "clean", "--yes")
        ctl(agent.socket, *words("database load FILE", tmp_path), "--yes")
    sent = {asked.route: asked.body for asked in agent.asked}
    assert sent["POST /database/clean"] == {"plan": "d1"}
    assert sent["POST /database/load"] == {"plan": "d2", "saved": {"records": []}}


def test_a_removal_that_looks_like_a_mistake_is_refused_before_anybody_agrees(tmp_path: Path) -> None:
    doubt = "4 of 5 files would go, more than half of the store: is this the right database?"
    plan = ok([FILE], kept=[], meta={"refused": doubt})
    with scripted(tmp_path, {**ANSWERS, "DELETE /head/files/unused?dry_run=1": plan}) as agent:
        with at_terminal(agent.socket, "files", "rm") as session:
            assert session.ended() == Exit.FAILED
        assert f"cannot remove the unused files: {doubt} Look at --dry-run first" in session.seen.replace("\r\n", "")
        assert "Go on?" not in session.seen
        looked = ctl(agent.socket, "files", "rm", "--dry-run")
        assert looked.returncode == 0
        assert f"It would be refused without --force: {doubt}" in looked.stdout
        told = json.loads(ctl(agent.socket, "files", "rm", "--dry-run", "--json").stdout)
        assert told == {"removed": [FILE], "kept": [], "refused": doubt}
        assert "DELETE /head/files/unused" not in agent.routes


@pytest.mark.parametrize(
    ("command", "answers", "said"),
    [
        ("files rm", {"DELETE /head/files/unused?dry_run=1": ok([], kept=[])}, "Nothing to remove"),
        ("files empty-trash", {"GET /head/files/trash": ok([])}, "The trash is empty."),
        ("database clean", {"GET /database/clean": ok({**PLAN, "actions": []})}, "the database is clean"),
        ("database load FILE", {"POST /database/load?dry_run=1": ok({**LOAD, "steps": []})}, "Nothing to do."),
    ],
)
def test_nobody_is_asked_where_nothing_is_to_do(tmp_path: Path, command: str, answers: Answers, said: str) -> None:
    with scripted(tmp_path, answers) as agent:
        done = ctl(agent.socket, *words(command, tmp_path))
    assert (done.returncode, len(agent.asked)) == (0, 1)
    assert said in done.stdout


def test_what_stays_is_told_with_its_reason_and_is_degraded(tmp_path: Path) -> None:
    kept = [{"filename": "y", "reason": "is in use"}]
    answers: Answers = {**ANSWERS, "DELETE /head/files/unused": ok([FILE], kept=kept)}
    with scripted(tmp_path, answers) as agent:
        done = ctl(agent.socket, "files", "rm", "--yes")
    assert done.returncode == Exit.DEGRADED
    assert "Kept y: is in use" in done.stdout


def test_what_was_named_and_stays_is_told_as_that(tmp_path: Path) -> None:
    kept = [{"filename": "y.iso", "reason": "is not in the store, or is no regular file"}]
    with scripted(tmp_path, {"POST /head/files/remove?dry_run=1": ok([], kept=kept)}) as agent:
        done = ctl(agent.socket, "files", "rm", "y.iso")
    assert done.returncode == Exit.DEGRADED
    assert done.stdout == "Not removed: y.iso: is not in the store, or is no regular file\n"


def test_files_that_are_named_are_the_only_ones_that_are_asked_for(tmp_path: Path) -> None:
    with scripted(tmp_path, ANSWERS) as agent:
        done = ctl(agent.socket, "files", "rm", "x.iso", "y.iso", "--yes")
    assert done.returncode == 0, done.stderr
    assert agent.routes == ["POST /head/files/remove?dry_run=1", "POST /head/files/remove"]
    assert [asked.body for asked in agent.asked] == [{"filenames": ["x.iso", "y.iso"]}] * 2


def test_services_that_systemd_did_not_manage_are_a_table_and_a_failure(tmp_path: Path) -> None:
    def acted(asked: Asked) -> Envelope:
        steps = [{"action": "start", "result": "failed", "detail": "exit-code", "took": 1.25}]
        data = [{"name": "a", "status": "down", "actions": steps}]
        return refused(502, "systemd did not manage", "failed", data=data)

    with scripted(tmp_path, {"POST /head/services": acted}) as agent:
        done = ctl(agent.socket, "services", "enable", "--now", "a")
    assert done.returncode == Exit.FAILED
    assert done.stdout.splitlines()[1].split() == ["a", "down", "start", "failed", "1.2", "s", "exit-code"]
    assert "journalctl -n 20 -u a" in done.stdout
    assert agent.asked[0].body == {"status": "enable,start", "services": ["a"]}


@pytest.mark.parametrize(
    ("state", "status"), [("failed", Exit.DEGRADED), ("activating", Exit.DEGRADED), ("inactive", Exit.OK)]
)
def test_a_service_that_does_not_stay_up_is_something_to_act_on(tmp_path: Path, state: str, status: Exit) -> None:
    step = {"action": "start", "result": "done", "detail": None, "took": 0.1}
    answers: Answers = {
        "POST /head/services": ok([{"name": "dns", "status": "down", "actions": [step]}]),
        "GET /head/services": ok([service("dns", "down", active_state=state)]),
    }
    with scripted(tmp_path, answers) as agent:
        done = ctl(agent.socket, "services", "start", "dns")
    assert done.returncode == status, done.stderr
    assert ("dns was started, and is down again" in done.stdout) == (status is Exit.DEGRADED)


def test_a_very_long_plan_leaves_its_sum_in_sight(tmp_path: Path) -> None:
    files = [{**FILE, "filename": f"f{n:04d}"} for n in range(250)]
    answers: Answers = {"DELETE /head/files/unused?dry_run=1": ok(files, kept=[])}
    with scripted(tmp_path, answers) as agent:
        asked = ctl(agent.socket, "files", "rm").stderr.splitlines()
        listed = ctl(agent.socket, "files", "rm", "--dry-run").stdout.splitlines()
    assert asked[100].startswith("f0099")
    assert asked[101:103] == [
        "... and 150 more: --dry-run lists them all",
        "250 files, 750.0 MiB would go to the trash of this head.",
    ]
    assert len(listed) == 252

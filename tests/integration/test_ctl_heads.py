"""cw-headctl heads, join, leave and token --join: what is asked, what is printed, how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agent.ctl.__main__ import main
from agent.ctl.outcome import Exit
from tests.support.one_answer import answering
from tests.support.scripted_agent import Answers, ok, refused, scripted

ROOT = Path(__file__).parents[2]


def shown(uid: str, state: str, **heard_by: float) -> dict[str, Any]:
    """A head as the agent shows it."""
    told = {"uid": uid, "state": state, "last_seen": None, "since": None, "heard_by": heard_by}
    return {**told, "url": f"https://{uid}:1", "description": f"the {uid}", "ca_pem": "---"}


def answer(data: Any, **beside: Any) -> str:
    """A success."""
    return json.dumps({"success": True, "data": data, **beside})


def test_heads_are_listed_the_worst_first_and_something_is_to_be_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    states = {"a": "up", "b": "suspect", "c": "unknown", "d": "down"}
    heads = {uid: shown(uid, state, a=0.25, b=1.5) for uid, state in states.items()}
    with answering(tmp_path / "s", "200 OK", answer(heads, meta={"standing": "minority"})) as asked:
        assert main(["--socket", str(tmp_path / "s"), "--head", "x" * 32, "heads", "ls"]) == Exit.DEGRADED

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[1:5]] == [["d", "down"], ["c", "unknown"], ["b", "suspect"], ["a", "up"]]
    assert ["not for 0.2 s" in line for line in lines[1:5]] == [True, False, False, False]
    assert "2 of 3, 0.2 s ago" in lines[2]
    assert "cut off" in lines[5]
    assert b"X-Head: " + b"x" * 32 in asked[0]


def test_heads_that_are_all_up_are_nothing_to_act_on(tmp_path: Path) -> None:
    with answering(tmp_path / "s", "200 OK", answer({"a": shown("a", "up")})) as asked:
        assert main(["--socket", str(tmp_path / "s"), "heads", "ls"]) == Exit.OK
    assert b"X-Head" not in asked[0]


def test_who_has_not_heard_a_head_of_late_is_not_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    heads = {"a": shown("a", "up", b=0.5, c=61.0), "b": shown("b", "up", c=61.0), "c": shown("c", "up", a=1.0, b=1.0)}
    with answering(tmp_path / "s", "200 OK", answer(heads)):
        assert main(["--socket", str(tmp_path / "s"), "heads", "ls"]) == Exit.OK

    lines = capsys.readouterr().out.splitlines()
    assert all(told in line for told, line in zip(("1 of 2, 0.5 s", "0 of 2, 61", "2 of 2, 1"), lines[1:], strict=True))

    with answering(tmp_path / "another", "200 OK", answer(heads, meta={"timeout": 0.8})):
        main(["--socket", str(tmp_path / "another"), "heads", "ls"])
    assert "0 of 2, 1.0 s" in capsys.readouterr().out


@pytest.mark.parametrize(("down", "unknown", "status"), [([], [], 0), ([], ["b"], 3), (["a", "c"], ["b"], 3)])
def test_heads_that_are_down_are_listed_with_how_they_are_removed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], down: list[str], unknown: list[str], status: int
) -> None:
    times = {"last_seen": "2026-11-24T00:00:00.000Z", "down_since": "2026-11-24T00:00:06.000Z"}
    told = [{"uid": uid, "description": f"the {uid}", "state": "down", **times} for uid in down]
    meta = {"standing": "majority", "verdict": "agreed", "unknown": unknown}
    with answering(tmp_path / "s", "200 OK", answer(told, meta=meta)):
        assert main(["--socket", str(tmp_path / "s"), "heads", "down"]) == status

    printed = capsys.readouterr().out
    assert [line.split()[0] for line in printed.splitlines()[1 : 1 + len(down)]] == down
    assert ("No head is down." in printed, "`cw-headctl heads evict --down`" in printed) == (not down, bool(down))
    assert ("whether these are up: b." in printed) == bool(unknown)


def test_what_a_head_without_quorum_finds_is_told_as_that_and_not_how_it_is_removed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = [{"uid": "a", "description": "", "state": "down", "last_seen": None, "down_since": None}]
    for down in (told, []):
        meta = {"standing": "minority", "verdict": "local", "unknown": ["b"]}
        with answering(tmp_path / f"s{len(down)}", "200 OK\r\nX-Stale: 7", answer(down, meta=meta)):
            assert main(["--socket", str(tmp_path / f"s{len(down)}"), "heads", "down"]) == Exit.DEGRADED
        printed = capsys.readouterr().out
        assert "no quorum: this is what this head finds by itself" in printed
        assert "cut off" in printed
        assert "evict" not in printed


def test_a_head_that_cannot_be_reached_is_unreachable_and_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = json.dumps(
        {"success": False, "reason": f"head {HEAD} cannot be reached at x: refused", "code": "unreachable"}
    )
    words = ["--socket", str(tmp_path / "s"), "--head", HEAD, "services"]
    with answering(tmp_path / "s", "503 Service Unavailable", gone):
        assert main(words) == Exit.UNREACHABLE
    assert "`systemctl status clusterware-head-agent` there" in capsys.readouterr().err


def test_a_head_is_shown_without_its_certificates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(tmp_path / "s", "200 OK", answer({"a": shown("a", "down", b=3.0)})):
        assert main(["--socket", str(tmp_path / "s"), "heads", "show"]) == Exit.DEGRADED
    printed = capsys.readouterr().out
    assert "b: 3.0" in printed
    assert "---" not in printed


HEAD = "a" * 32
KEPT = [{"uid": "b", "reason": "it is suspect"}]
DOWN = [{"uid": HEAD, "description": "x"}]


@pytest.mark.parametrize(
    ("words", "last", "status"),
    [
        ([HEAD], f"DELETE /head/{HEAD}", Exit.OK),
        ([HEAD, "--force"], f"DELETE /head/{HEAD}?force=1", Exit.OK),
        (["--down"], "DELETE /heads/down", Exit.DEGRADED),
        (["--down", "--dry-run"], "DELETE /heads/down?dry_run=1", Exit.OK),
    ],
)
def test_heads_are_evicted_and_those_that_stay_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], last: str, status: Exit
) -> None:
    warnings = {"warnings": ["its certificate still opens etcd"]}
    answers: Answers = {
        f"GET /head/{HEAD}": ok({HEAD: shown(HEAD, "down")}),
        "DELETE /heads/down?dry_run=1": ok(DOWN, kept=KEPT),
        "DELETE /heads/down": ok(DOWN, kept=KEPT, meta=warnings),
        f"DELETE /head/{HEAD}": ok(HEAD, meta=warnings),
        f"DELETE /head/{HEAD}?force=1": ok(HEAD, meta=warnings),
    }
    with scripted(tmp_path, answers) as agent:
        assert main(["--socket", str(agent.socket), "heads", "evict", *words, "--yes"]) == status
    told = capsys.readouterr()
    assert agent.routes[-1] == last
    assert HEAD in told.out
    assert ("it is suspect" in told.out) is ("--down" in words)
    if "--dry-run" not in words:
        assert told.out.splitlines()[-1] == "Its certificate still opens etcd."
        assert "1 head" in told.err


def test_nothing_is_asked_where_no_head_is_down(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with scripted(tmp_path, {"DELETE /heads/down?dry_run=1": ok([], kept=[])}) as agent:
        assert main(["--socket", str(agent.socket), "heads", "evict", "--down"]) == Exit.OK
    assert capsys.readouterr().out == "No head is down.\n"
    assert len(agent.asked) == 1


def test_a_token_comes_from_standard_input_and_a_bare_name_is_enough(tmp_path: Path) -> None:
    joined = answer({"cluster": "c", "already": False, "steps": []})
    with answering(tmp_path / "s", "200 OK", joined) as asked:
        command = ["--socket", str(tmp_path / "s"), "--json", "join", "head1", "--ca-sha256", "AB", "--token-file", "-"]
        done = subprocess.run(
            [sys.executable, "-m", "agent.ctl", *command],
            input="a.b.c\n",
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    sent = json.loads(asked[0].partition(b"\r\n\r\n")[2] or asked[0][asked[0].index(b"{") :])
    assert sent == {"url": "https://head1:52390", "token": "a.b.c", "ca_sha256": "AB", "force": False}
    assert json.loads(done.stdout)["cluster"] == "c"


def test_a_refused_join_says_cannot_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused = json.dumps({"success": False, "reason": "cannot join: the clocks are apart", "code": "clock"})
    with answering(tmp_path / "s", "409 Conflict", refused):
        words = ["--json", "join", "https://head1:1", "--token", "t", "--ca-sha256", "AB"]
        assert main(["--socket", str(tmp_path / "s"), *words]) == Exit.FAILED
    assert capsys.readouterr().err.splitlines()[1:] == ["cw-headctl: cannot join: the clocks are apart"]


def test_a_refusal_that_names_what_cannot_be_done_says_so_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = json.dumps({"success": False, "reason": "cannot remove heads: no quorum", "code": "no-quorum"})
    with answering(tmp_path / "s", "503 Service Unavailable", refused):
        assert main(["--socket", str(tmp_path / "s"), "heads", "evict", "--down"]) == Exit.FAILED
    assert capsys.readouterr().err == "cw-headctl: cannot remove heads: no quorum: see `cw-headctl doctor`\n"


def test_what_needs_a_token_on_another_head_is_to_be_done_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = json.dumps({"success": False, "reason": "send Authorization: Bearer", "code": "token"})
    with answering(tmp_path / "s", "401 Unauthorized", refused):
        assert main(["--socket", str(tmp_path / "s"), "--head", "x" * 32, "heads", "ls"]) == Exit.DENIED
    told = capsys.readouterr().err
    assert "log in there" in told
    assert "Bearer" not in told


def test_a_head_that_is_out_of_its_cluster_is_told_and_not_that_it_may_be_cut_off(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    meta = {"standing": "minority", "problem": "this head was removed from its cluster: have it join again"}
    heads = {"a": shown("a", "up", b=1.0, gone=1.0), "b": shown("b", "up", a=1.0, gone=1.0)}
    with answering(tmp_path / "s", "200 OK", answer(heads, meta=meta)):
        assert main(["--socket", str(tmp_path / "s"), "heads", "ls"]) == Exit.DEGRADED
    lines = capsys.readouterr().out.splitlines()
    assert "2 of 2" in lines[1]
    assert lines[3:] == ["This head was removed from its cluster: have it join again."]


def test_a_list_from_a_database_without_quorum_says_how_old_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering(tmp_path / "s", "200 OK\r\nX-Stale: 7", answer({"a": shown("a", "up")})):
        assert main(["--socket", str(tmp_path / "s"), "heads", "ls"]) == Exit.DEGRADED
    assert "no quorum: the list is 7 s old" in capsys.readouterr().out


def test_a_join_is_never_asked_of_another_head(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--head", "x" * 32, "join", "https://head1:1", "--token", "t", "--ca-sha256", "AB"]
    with scripted(tmp_path, {"GET /head/peerurl": ok({"uid": "y" * 32})}) as agent:
        assert main(["--socket", str(agent.socket), *words]) == Exit.USAGE
    assert "log in there" in capsys.readouterr().err
    assert agent.routes == ["GET /head/peerurl"]


def test_a_token_file_that_cannot_be_read_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["join", "https://head1:1", "--token-file", str(tmp_path / "none"), "--ca-sha256", "AB"]
    assert main(["--socket", str(tmp_path / "s"), *words]) == Exit.USAGE
    assert "cannot read the token" in capsys.readouterr().err


def test_a_leave_says_what_each_step_came_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    left = {"left": "a", "cluster": "c", "remaining": ["b"], "steps": [{"step": "tell", "result": "done"}]}
    answers: Answers = {"GET /heads": ok({"a": {}, "b": {}}), "POST /database/leave": ok(left)}
    with scripted(tmp_path, answers) as agent:
        assert main(["--socket", str(agent.socket), "leave", "--yes"]) == Exit.OK
    told = capsys.readouterr()
    assert told.out.splitlines() == ["tell: done", "The head a has left 1 other head, and is alone in a new cluster."]
    assert "cluster of 2" in told.err


def test_a_head_whose_database_is_lost_may_leave_all_the_same(tmp_path: Path) -> None:
    left = {"left": "a", "cluster": "c", "remaining": [], "steps": []}
    answers: Answers = {"GET /heads": refused(503, "the database is damaged"), "POST /database/leave": ok(left)}
    with scripted(tmp_path, answers) as agent:
        assert main(["--socket", str(agent.socket), "leave", "--yes"]) == Exit.OK


@pytest.mark.parametrize("words", ["heads no", "heads evict", "heads evict a --down", "join u --token t", "token"])
def test_wrong_arguments_are_told(words: str) -> None:
    with pytest.raises(SystemExit) as left:
        main(words.split())
    assert left.value.code == Exit.USAGE

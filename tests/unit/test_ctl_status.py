"""cw-headctl status and doctor: what stands on the screen, worst first, within it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from agent.ctl.doctor import summary
from agent.ctl.finding import Finding, in_order, lines
from agent.ctl.logs import journalctl
from agent.ctl.outcome import Exit, Outcome
from agent.ctl.parser import parse
from agent.ctl.show import text
from agent.ctl.status import in_a_row, shown

NOW = 1_795_478_400.0  # 2026-11-24T00:00:00Z
BAD = {"check": "services", "level": "failed", "subject": "dhcpd", "detail": "it is enabled and down", "todo": "mend"}
ODD = {"check": "clock", "level": "warning", "subject": "b", "detail": "its clock is off", "todo": "set it"}
FINE = {"check": "disk", "level": "ok", "subject": "file store", "detail": "10 % used", "todo": None}


def head(name: str, state: str = "up") -> dict[str, Any]:
    return {
        "uid": (name + "0" * 32)[:32],
        "description": name,
        "state": state,
        "heard_by": 2,
        "others": 2,
        "version": "0.2.0",
    }


def report(*findings: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "level": "ok",
        "took": 0.01,
        "uid": head("head1")["uid"],
        "description": "head1",
        "version": "0.2.0",
        "cluster": "c" * 32,
        "standing": "majority",
        "verdict": "agreed",
        "heads": [head("head1"), head("head2"), head("head3")],
        "database": {"kind": "etcd", "size": 2**20, "age": None, "adopted": False},
        "members": {"voters": 3, "well": 3},
        "services": {"up": 14, "all": 16},
        "store": {
            "used": 34.2,
            "free": 12 * 2**30,
            "trash_files": 2,
            "trash_bytes": 2**30,
            "scan": {"files": 120, "unused": 3, "unused_bytes": 2**30, "ago": 5.0},
        },
        "certificate": {"until": "2027-11-24T00:00:00.000Z", "days": 365},
        "backup": {"name": "20261121T000000.000000Z.db", "made": "2026-11-21T00:00:00.000Z", "bytes": 70000},
        "findings": list(findings or [FINE]),
        **more,
    }


def screen(outcome: Outcome, columns: int = 80) -> list[str]:
    return text(outcome, columns, coloured=False)


def test_a_healthy_cluster_of_three_fits_a_terminal() -> None:
    told = screen(shown(report(), NOW, 80))

    assert len(told) <= 24
    assert max(map(len, told)) <= 80
    assert "Everything is well." in told
    assert "services     14 of 16 up" in told
    assert "database     etcd, 1.0 MiB, 3 of 3 members, bears the loss of 1" in told
    assert any(line.endswith("3 days ago") for line in told)


def test_what_to_act_on_stands_above_the_heads_and_the_worst_first() -> None:
    outcome = shown(report(FINE, ODD, BAD), NOW, 80)
    told = screen(outcome)

    order = ["2 things to act on:", "failed   services, dhcpd", "warning  clock, b", "HEAD ", "services "]
    places = [next(n for n, line in enumerate(told) if line.startswith(begin)) for begin in order]
    assert places == sorted(places)
    assert not any("file store: 10 %" in line for line in told)
    assert outcome.exit is Exit.DEGRADED


def test_all_is_well_is_status_0() -> None:
    assert shown(report(), NOW, 80).exit is Exit.OK


def test_heads_that_are_not_up_come_first() -> None:
    heads = [head("a"), head("b", "suspect"), head("c", "down"), head("d", "newer")]
    told = shown(report(heads=heads), NOW, None).rows
    assert [row[1] for row in told] == ["down", "newer", "suspect", "up"]


def test_what_is_not_known_is_left_out() -> None:
    unknown = dict.fromkeys(("heads", "database", "members", "services", "store", "certificate", "backup", "cluster"))
    told = screen(shown(report(BAD, **unknown), NOW, 80))
    assert not any(line.startswith(("services ", "database ", "file store ", "certificate ")) for line in told)
    assert "last backup  none yet" in told


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"voters": 3, "well": 2}, "2 of 3 members, bears no loss"),
        ({"voters": 5, "well": 5}, "5 of 5 members, bears the loss of 2"),
        ({"voters": 1, "well": 1}, "1 of 1 member, bears no loss"),
        (None, "etcd, 1.0 MiB"),
    ],
)
def test_the_database_says_what_it_bears(members: dict[str, int] | None, words: str) -> None:
    assert any(line.endswith(words) for line in screen(shown(report(members=members), NOW, 80)))


def test_of_all_heads_each_is_a_row() -> None:
    outcome = in_a_row(report(BAD), NOW, None)
    assert outcome.rows == [("failed", "14 of 16 up", "etcd, 3 of 3", "34 %", "365 days", "3 days ago")]
    assert outcome.lines[0].startswith("failed   services, dhcpd")
    assert outcome.exit is Exit.DEGRADED


def test_findings_are_folded_and_no_word_is_lost() -> None:
    finding = Finding("clock", "failed", "head", " ".join(["word"] * 40), "`systemctl restart a b`, then look again")
    told = lines([finding], 60)
    assert max(map(len, told)) <= 60
    assert " ".join(" ".join(told).split()) == f"failed clock, head: {finding.detail} -> {finding.todo}"
    assert lines([finding], None)[0].endswith("word")


def test_a_command_is_not_broken_where_it_fits_a_line() -> None:
    told = lines([Finding("x", "failed", "y", "z", f"do as is said {'there ' * 4}with `cw-headctl ca show`, then")], 60)
    assert told[1:] == [
        f"         -> do as is said {'there ' * 4}with".rstrip(),
        "            `cw-headctl ca show`, then",
    ]


def test_a_word_longer_than_the_terminal_stays_whole() -> None:
    told = lines([Finding("x", "ok", "y" * 100, "z")], 40)
    assert any("y" * 100 in line for line in told)


def test_levels_of_a_later_agent_are_taken_as_warnings() -> None:
    assert Finding.of({**BAD, "level": "dreadful"}).level == "warning"


def test_the_end_says_how_many() -> None:
    findings = in_order(Finding.of(told) for told in (FINE, BAD, ODD))
    assert summary(findings) == "3 checks: 1 failed, 1 to look at."
    assert summary([Finding.of(FINE)]) == "1 check, all well."


@pytest.mark.parametrize(
    ("words", "command"),
    [
        ([], ["--lines=100", "--no-pager"]),
        (["-f", "-n", "5"], ["--lines=5", "--no-pager", "--follow"]),
        (["--since", "-1h"], ["--since=-1h"]),
        (
            ["-p", "warning", "-x", "--json"],
            ["--lines=100", "--no-pager", "--priority=warning", "--catalog", "--output=json"],
        ),
    ],
)
def test_the_journal_is_asked_for_what_is_wanted(words: list[str], command: list[str]) -> None:
    told = journalctl(parse(["logs", *words]))
    assert told[: told.index("_SYSTEMD_UNIT=clusterware-head-agent.service")] == [
        "journalctl",
        "--quiet",
        "--no-hostname",
        *command,
    ]


def test_what_systemd_says_of_the_agent_is_among_its_lines() -> None:
    told = " ".join(journalctl(parse(["logs", "--engine"])))
    assert "+ _PID=1 UNIT=clusterware-head-agent.service +" in told
    assert told.endswith("+ _SYSTEMD_UNIT=clusterware-head-agent-etcd.service")


def test_fields_narrow_the_agents_lines() -> None:
    told = journalctl(parse(["logs", "--unit", "dhcpd", "--request", "r1", "--peer", "p"]))
    assert told[-10:] == [
        "_SYSTEMD_UNIT=clusterware-head-agent.service",
        "UNIT=dhcpd.service",
        "REQUEST_ID=r1",
        "PEER=p",
        "+",
        "SYSLOG_IDENTIFIER=cw-headctl",
        "_UID=0",
        "UNIT=dhcpd.service",
        "REQUEST_ID=r1",
        "PEER=p",
    ]


def test_nobody_but_root_and_the_agent_can_put_a_line_among_the_agents() -> None:
    told = journalctl(parse(["logs", "--engine"]))
    groups = " ".join(told[told.index("--no-pager") + 1 :]).split(" + ")
    assert all(re.search(r"(^| )(_SYSTEMD_UNIT|_UID=0|_PID=1)\b", group) for group in groups), groups

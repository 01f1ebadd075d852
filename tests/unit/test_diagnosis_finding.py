"""Findings: the worst first, one cause told once, and no path of a head for others."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agent.ctl.commands import COMMANDS
from agent.diagnosis.finding import Finding, Level, amount, days, failed, for_others, in_order, ok, warning, worst

FINE, ODD, BAD = (
    ok("disk", "file store", "10 % used"),
    warning("clock", "this head", "it is off", "set it"),
    failed("services", "dhcpd", "it is down", "start it"),
)
ROOT = Path(__file__).parents[2]


def test_the_worst_comes_first_and_the_rest_keeps_its_order() -> None:
    other = ok("trash", "file store", "empty")
    assert in_order([FINE, ODD, other, BAD]) == [BAD, ODD, FINE, other]


@pytest.mark.parametrize(
    ("findings", "level"),
    [([], Level.OK), ([FINE], Level.OK), ([FINE, ODD], Level.WARNING), ([ODD, BAD, FINE], Level.FAILED)],
)
def test_the_level_is_that_of_the_worst(findings: list[Finding], level: Level) -> None:
    assert worst(findings) is level


def test_what_was_told_of_a_subject_is_not_told_again_by_what_follows_from_it() -> None:
    cause = failed("database", "this head", "the disk is full", "make room")
    follows = warning("loops", "this head", "the disk is full", "mend that")
    assert in_order([follows, cause]) == [cause]


def test_the_same_words_of_two_subjects_are_two_findings() -> None:
    one, other = (failed("heads", uid, "it is down", "look there") for uid in ("a", "b"))
    assert in_order([one, other]) == [one, other]


def test_all_that_is_well_is_told_whatever_words_it_uses() -> None:
    same = [ok("database", "this head", "usable"), ok("files", "this head", "usable")]
    assert in_order(same) == same


@pytest.mark.parametrize(
    ("told", "published"),
    [
        ("cannot read /var/lib/x/engine.json: denied", "cannot read (a path of that head): denied"),
        ("/srv/store is full", "(a path of that head) is full"),
        ("see '/etc/a' (/etc/b)", "see '(a path of that head)' ((a path of that head))"),
        ("files=/a,/b", "files=(a path of that head),(a path of that head)"),
        ("ask https://10.0.0.1:52390/healthz", "ask https://10.0.0.1:52390/healthz"),
        ("and/or 3/4", "and/or 3/4"),
        ("nothing", "nothing"),
    ],
)
def test_others_are_told_no_path(told: str, published: str) -> None:
    (finding,) = for_others([Finding("x", Level.FAILED, told, told, told)])
    assert (finding.subject, finding.detail, finding.todo) == (published,) * 3


def test_what_is_well_has_nothing_to_do_for_others_either() -> None:
    assert for_others([FINE]) == [FINE]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59, "59 s"), (60, "1 minute"), (7199, "1 hour"), (86400, "1 day"), (31 * 86400, "31 days")],
)
def test_durations_are_told_in_the_unit_that_fits(seconds: float, text: str) -> None:
    assert days(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (3 * 2**30, "3.0 GiB"), (2**41, "2.0 TiB")]
)
def test_sizes_are_told_in_the_unit_that_fits(size: int, text: str) -> None:
    assert amount(size) == text


def test_each_command_that_a_finding_names_exists() -> None:
    """Whoever is told to run it at 3 a.m. must find it."""
    known = {command.path for command in COMMANDS} | {command.words[0] for command in COMMANDS if command.default}
    sources = [
        *(ROOT / "agent/diagnosis").glob("*.py"),
        ROOT / "agent/ctl/symptoms.py",
        ROOT / "agent/app/diagnosis.py",
    ]
    named = {words for path in sources for words in re.findall(r"`cw-headctl ([^`]+)`", path.read_text())}

    assert len(named) > 10
    for words in named:
        parts = words.split()
        assert parts[0] in known or " ".join(parts[:2]) in known, words

"""Which head --head means, and how the answers of several heads become one."""

from __future__ import annotations

import pytest

from agent.ctl.choice import chosen, label
from agent.ctl.everywhere import merged
from agent.ctl.outcome import Exit, Failure, Outcome
from tests.support.ctl import ONE, THREE, THREE_HEADS, TWO, head

HEADS = {**THREE_HEADS, "33" + "4" * 30: head("33" + "4" * 30, "spare", url="https://10.1.2.3:52390")}


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("1", ONE),
        ("222", TWO),
        ("rack-c", THREE),
        ("RACK-C", THREE),
        ("rack-a.site", ONE),
        ("10.1.2.3", "33" + "4" * 30),
        ("spare", "33" + "4" * 30),
        ("333", THREE),
    ],
)
def test_a_head_is_meant_by_uid_beginning_description_or_host(said: str, meant: str) -> None:
    assert chosen(HEADS, said) == meant


@pytest.mark.parametrize(("said", "told"), [("33", "it may be 3"), ("zz", "`cw-headctl heads ls` has"), ("10", "has")])
def test_what_is_not_one_head_is_refused_with_those_there_are(said: str, told: str) -> None:
    with pytest.raises(Failure, match=f"cannot tell which head {said} is") as refused:
        chosen(HEADS, said)
    assert refused.value.status == Exit.USAGE
    assert told in str(refused.value)


def test_two_of_one_description_are_told_apart_by_uid_and_not_meant_by_it() -> None:
    twins = {ONE: head(ONE, "twin", url=None), TWO: head(TWO, "twin", url=None)}
    assert [label(uid, twins) for uid in twins] == [ONE, TWO]
    with pytest.raises(Failure, match=f"{ONE} or {TWO}"):
        chosen(twins, "twin")


def outcome(exit_status: Exit = Exit.OK) -> Outcome:
    return Outcome([1], ("name",), [("x",)], lines=["A line."], exit=exit_status)


def test_every_row_has_its_head_in_front_and_every_line() -> None:
    both = merged({ONE: outcome(), TWO: outcome()}, {ONE: "a", TWO: "b"})
    assert (both.columns, both.rows) == (("head", "name"), [("a", "x"), ("b", "x")])
    assert both.lines == ["a: A line.", "b: A line."]
    assert both.data == {ONE: {"ok": True, "data": [1]}, TWO: {"ok": True, "data": [1]}}


@pytest.mark.parametrize(
    ("answers", "status"),
    [
        ([outcome(), outcome()], Exit.OK),
        ([outcome(), outcome(Exit.DEGRADED)], Exit.DEGRADED),
        ([outcome(Exit.FAILED), outcome()], Exit.DEGRADED),
        ([outcome(Exit.FAILED), outcome(Exit.FAILED)], Exit.FAILED),
        ([outcome(), Failure("no")], Exit.DEGRADED),
        ([outcome(Exit.DEGRADED), Failure("no", Exit.UNREACHABLE)], Exit.DEGRADED),
        ([Failure("no", Exit.UNREACHABLE), Failure("no", Exit.UNREACHABLE)], Exit.UNREACHABLE),
        ([Failure("no", Exit.UNREACHABLE), Failure("no", Exit.DENIED)], Exit.FAILED),
        ([], Exit.OK),
    ],
)
def test_partial_results_are_degraded_and_a_whole_failure_keeps_its_status(
    answers: list[Outcome | Failure], status: Exit, capsys: pytest.CaptureFixture[str]
) -> None:
    told = merged({str(n): answer for n, answer in enumerate(answers)}, {str(n): f"h{n}" for n in range(9)})
    assert told.exit is status
    assert capsys.readouterr().err.count("\n") == sum(isinstance(answer, Failure) for answer in answers)
